"""The schemas of the OpenAPI document, made from the models that check requests and the documents of responses."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from polysync_core.rules.wire.event_document import EventListDocument
from polysync_core.rules.wire.health_document import HealthDocument
from polysync_core.rules.wire.http_answers import AliveDocument, ProblemDocument
from polysync_core.rules.wire.job_contract import DiscoverBody, ParameterBody
from polysync_core.rules.wire.job_document import DiscoveryReportDocument, JobDocument, JobListDocument
from polysync_core.rules.wire.rotation_contract import RotationBody, RotationDocument
from polysync_core.rules.wire.run_document import RunDocument, RunListDocument, StartedRunDocument, UnhappyEndDocument
from polysync_core.rules.wire.start_contract import start_body

_BODIES: tuple[type, ...] = (DiscoverBody, ParameterBody, RotationBody)
_ANSWERS: tuple[type, ...] = (
    *(RunDocument, StartedRunDocument, UnhappyEndDocument, RunListDocument, EventListDocument),
    *(JobDocument, JobListDocument, DiscoveryReportDocument, RotationDocument),
    *(HealthDocument, AliveDocument, ProblemDocument),
)
_WORKSPACE = "One of several workspaces, by name. Left out: the default."
_MEANINGS = {
    "StartBody": {
        "full_refresh": "Reprocess all data. Left out: what the job's stored parameter says, else false.",
        "pipeline_id": "The same as in the path.",
        "parameters": "full_refresh in it counts like the field full_refresh. All others come back in "
        "ignoredParameters and are never sent. A repeat with the same Idempotency-Key has to send the same values.",
        "callBackUri": "Where Data Factory's WebHook activity is called back. Not together with callbackUrl.",
        "callbackUrl": "Where the run document is posted once the run has finished, with the headers webhook-id (the "
        "same on each repeat), webhook-timestamp and, if the app has a secret, webhook-signature (Standard Webhooks). "
        "Not together with callBackUri.",
        "onConflict": "With an active update: `fail` (the default) answers 409, `attach` joins it if it is what was "
        "asked for.",
        "timeoutMinutes": "A stop is asked for when the update takes longer than this.",
        "followRetries": "Databricks' automatic retries of a failed update become attempts of the same run.",
        "workspace": _WORKSPACE,
        "refresh_selection": "Refresh only these tables. Not together with a true full_refresh.",
        "full_refresh_selection": "Reprocess all data of these tables. No other table is refreshed, unless it is in "
        "refresh_selection. Not together with a true full_refresh.",
        "reset_checkpoint_selection": "Reset the checkpoints of these flows and keep the data of their tables. Not "
        "together with a true full_refresh.",
        "validate_only": "Check the pipeline's code and refresh nothing. Not together with another start option or a "
        "true full_refresh.",
    },
    "DiscoverBody": {
        "workspace": _WORKSPACE,
        "continuation": "That of an earlier report, to go on from there.",
    },
    "ParameterBody": {
        "value": "What a start sends that does not say itself.",
        "direction": "A parameter with direction Output is never sent.",
        "workspace": _WORKSPACE,
    },
    "RotationBody": {
        "keepOldForDays": "For how many days the addresses of older keys go on working. 0 ends them at once.",
    },
}
"""What the fields of the bodies mean, also of those that not every app has.

They are not at the models: reading docstrings costs 20 ms at each cold start.
"""


class _Untitled(GenerateJsonSchema):
    """Leaves out the titles of fields, which would only repeat the names."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002
        return False


def component_schemas(start_options: tuple[str, ...]) -> dict[str, Any]:
    """Return all schemas by name. Other schemas refer to them by this name.

    A start has only those start options that the app allows.
    """
    bodies = (start_body(start_options), *_BODIES)
    _, generated = TypeAdapter.json_schemas(
        [
            *((body.__name__, "validation", TypeAdapter(body)) for body in bodies),
            *((answer.__name__, "serialization", TypeAdapter(answer)) for answer in _ANSWERS),
        ],
        ref_template="#/components/schemas/{model}",
        schema_generator=_Untitled,
    )
    schemas: dict[str, Any] = {_name(name): _renamed(schema) for name, schema in generated["$defs"].items()}
    for name, meanings in _MEANINGS.items():
        for field, told in schemas[name]["properties"].items():
            told["description"] = meanings[field]
    for schema in schemas.values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return schemas


def ref(model: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{_name(model.__name__)}"}


def _name(of_class: str) -> str:
    """Return the name that callers see, such as Run for RunDocument."""
    return of_class.removesuffix("Document")


def _renamed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_renamed(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: _name(value) if name in {"$ref", "title"} and isinstance(value, str) else _renamed(value)
        for name, value in schema.items()
    }
