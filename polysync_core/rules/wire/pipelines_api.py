"""The Pipelines API 2.0: builds requests and decodes answers. No I/O. The event log is in event_log_api.

Source of every call: https://docs.databricks.com/api/azure/workspace/pipelines. Decoding accepts what
Databricks may change, such as new states and missing fields. It is strict where an error would do harm, as in an id.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from polysync_core.rules.wire.databricks_errors import decode_error, is_sign_in, json_object
from polysync_core.rules.wire.databricks_json import id_of, instant_of, objects_of, page_token_of, text_of
from polysync_core.values.databricks import (
    ListedPipeline,
    PipelinesPage,
    PipelineSpec,
    SeenUpdate,
    UpdatesPage,
)
from polysync_core.values.databricks_errors import DatabricksError, DatabricksSignInPage
from polysync_core.values.ids import RunId
from polysync_core.values.run import JsonObject
from polysync_core.values.start_options import NO_OPTIONS, SELECTIONS, START_OPTIONS, VALIDATE_ONLY, StartOptions

API = "/api/2.0"
PAGE_SIZE = 100
_PARTIAL_FIELDS = (
    *START_OPTIONS,
    "refresh_selection_by_path",
    "full_refresh_selection_by_path",
    "rewind_spec",
    "replace_where_overrides",
)
"""An update with one of these validates only, or touches some tables: https://github.com/databricks/databricks-sdk-py"""
START_HINTS = {
    400: "When an update is refused with 400 at once, the pipeline is idle and a required Databricks resource "
    "(target storage, cluster policy) is missing: look at the pipeline's page in Databricks.",
    404: "A pipeline's id is in its settings in Databricks, and in GET /api/jobs once it was discovered.",
}
"""The remedy after a refused start, by Databricks' status. The text for 400 is the mission's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ApiRequest:
    """One call. `route` is its path as a template: for logs and counts, without ids.

    `may_be_empty`: a success may have an empty body. For any other request that is an error, since an empty body could
    be taken for an empty listing.
    """

    method: str
    route: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: JsonObject | None = None
    may_be_empty: bool = False

    @property
    def named(self) -> tuple[str, ...]:
        """The ids in the path."""
        parts = zip(self.path.removeprefix(API).split("/"), self.route.split("/"), strict=True)
        return tuple(part for part, template in parts if template.startswith("{"))


def start_update(pipeline_id: str, full_refresh: bool, options: StartOptions = NO_OPTIONS) -> ApiRequest:
    """The start. Without options, its body is exactly the mission's."""
    return ApiRequest(
        method="POST",
        route="/pipelines/{pipeline_id}/updates",
        path=f"{API}/pipelines/{pipeline_id}/updates",
        body={"pipeline_id": pipeline_id, "full_refresh": full_refresh, **options.given()},
    )


def get_update(run_id: RunId) -> ApiRequest:
    return ApiRequest(
        method="GET",
        route="/pipelines/{pipeline_id}/updates/{update_id}",
        path=f"{API}/pipelines/{run_id.pipeline_id}/updates/{run_id.update_id}",
    )


def list_updates(pipeline_id: str, page_token: str | None = None) -> ApiRequest:
    """Return the request for a page of updates, newest first."""
    return ApiRequest(
        method="GET",
        route="/pipelines/{pipeline_id}/updates",
        path=f"{API}/pipelines/{pipeline_id}/updates",
        query=_page_query(page_token),
    )


def list_pipelines(page_token: str | None = None, page_size: int = PAGE_SIZE) -> ApiRequest:
    """Return the request for a page of pipelines, by id (Databricks' default). More than 100 a page is an error."""
    return ApiRequest(
        method="GET", route="/pipelines", path=f"{API}/pipelines", query=_page_query(page_token, page_size)
    )


def get_pipeline(pipeline_id: str) -> ApiRequest:
    """Return the request for a pipeline. No other request returns its `spec`."""
    return ApiRequest(method="GET", route="/pipelines/{pipeline_id}", path=f"{API}/pipelines/{pipeline_id}")


def stop_update(run_id: RunId) -> ApiRequest:
    """Return the request that the mission prescribes for a cancel. Some workspaces do not have this route."""
    return ApiRequest(
        method="POST",
        route="/pipelines/{pipeline_id}/updates/{update_id}/stop",
        path=f"{API}/pipelines/{run_id.pipeline_id}/updates/{run_id.update_id}/stop",
        may_be_empty=True,
    )


def may_lack_update_stop(error: DatabricksError) -> bool:
    """Whether the response to `stop_update` may mean that the workspace does not have this route.

    The route is in no documentation, so an API or a gateway may refuse it with any status. A refused identity and a
    temporary error say nothing about the route. After a success, no other stop is needed.
    """
    status = error.databricks_status
    return status >= 300 and status not in {401, 403, 429, 500, 502, 503, 504}


def stop_pipeline(pipeline_id: str) -> ApiRequest:
    """Return the request that stops any active update. First check that our update is the active one."""
    return ApiRequest(
        method="POST",
        route="/pipelines/{pipeline_id}/stop",
        path=f"{API}/pipelines/{pipeline_id}/stop",
        may_be_empty=True,
    )


def _page_query(page_token: str | None, page_size: int = PAGE_SIZE) -> Mapping[str, str]:
    query = {"max_results": str(page_size)}
    if page_token:
        query["page_token"] = page_token
    return query


# --- answers


def decode_answer(request: ApiRequest, status: int, headers: Mapping[str, str], body: bytes) -> JsonObject:
    """Return the JSON object of a successful response. No text in it holds half a surrogate pair.

    Raises a DatabricksError for a status of 300 or more. databricks_errors chooses its class. Raises
    DatabricksSignInPage for a sign-in page, and DatabricksError (502) for a success without a JSON object.
    """
    if status >= 300:
        raise decode_error(status, headers, body, request.named)
    if is_sign_in(status, headers, body):
        raise DatabricksSignInPage(databricks_status=status)
    payload = {} if request.may_be_empty and not body.strip() else json_object(body)
    if payload is None:
        raise DatabricksError(
            f"Databricks answered {status} with something that is not a JSON object.", databricks_status=status
        )
    return payload


def decode_update_id(payload: JsonObject) -> str:
    """Return the id of the new update. Raises DatabricksError if there is none: the outcome is then unknown."""
    update_id = id_of(payload.get("update_id"))
    if update_id is not None:
        return update_id
    raise DatabricksError("Databricks answered the start without a usable update_id.", databricks_status=200)


def decode_update(payload: JsonObject, run_id: RunId) -> SeenUpdate:
    """Read the response of GET /pipelines/{id}/updates/{uid}. Raises DatabricksError if it is about another update.

    The pipeline id came from a caller, so its letters may differ in case from those of Databricks.
    """
    entry = payload.get("update")
    seen = _seen_update(entry)
    if not isinstance(entry, dict) or seen is None:
        raise DatabricksError("Databricks answered without the update that was asked for.", databricks_status=200)
    pipeline_id = str(entry.get("pipeline_id") or run_id.pipeline_id)
    if seen.update_id != run_id.update_id or pipeline_id.lower() != run_id.pipeline_id.lower():
        raise DatabricksError("Databricks answered with another update than was asked for.", databricks_status=200)
    return seen


def decode_updates_page(payload: JsonObject) -> UpdatesPage:
    return UpdatesPage(updates=_seen_updates(payload.get("updates")), next_page_token=page_token_of(payload))


def decode_pipelines_page(payload: JsonObject) -> PipelinesPage:
    """Read a page of GET /pipelines. An entry without a usable id is left out."""
    pipelines = []
    for entry in objects_of(payload.get("statuses")):
        pipeline_id = id_of(entry.get("pipeline_id"))
        if pipeline_id is not None:
            name = text_of(entry.get("name"))
            latest = _seen_updates(entry.get("latest_updates"), pipeline_name=name)
            pipelines.append(ListedPipeline(pipeline_id=pipeline_id, name=name, latest_updates=latest))
    return PipelinesPage(pipelines=tuple(pipelines), next_page_token=page_token_of(payload))


def decode_pipeline(payload: JsonObject) -> PipelineSpec:
    """Read the response of GET /pipelines/{id}. Raises DatabricksError if `spec` is missing.

    A missing `spec` must not count as an empty one. The pipeline's own parameters were seen beside `spec`. Parameters
    inside `spec` are read too.
    """
    spec = payload.get("spec")
    if not isinstance(spec, dict):
        raise DatabricksError("Databricks answered without the pipeline's spec.", databricks_status=200)
    parameters: dict[str, object] = {}
    for part in (spec, payload):
        own = part.get("parameters")
        parameters |= own if isinstance(own, dict) else {}
    return PipelineSpec(
        name=text_of(payload.get("name")) or text_of(spec.get("name")), spec=spec, parameters=parameters
    )


def _seen_updates(value: object, *, pipeline_name: str | None = None) -> tuple[SeenUpdate, ...]:
    return tuple(seen for entry in objects_of(value) if (seen := _seen_update(entry, pipeline_name)) is not None)


def _seen_update(value: object, pipeline_name: str | None = None) -> SeenUpdate | None:
    if not isinstance(value, dict):
        return None
    update_id = id_of(value.get("update_id"))
    if update_id is None:
        return None
    full_refresh = value.get("full_refresh")
    return SeenUpdate(
        update_id=update_id,
        state=text_of(value.get("state")),
        cause=text_of(value.get("cause")),
        created_at=instant_of(value.get("creation_time")),
        full_refresh=full_refresh if isinstance(full_refresh, bool) else None,
        partial_by=tuple(name for name in _PARTIAL_FIELDS if value.get(name)),
        options=_start_options(value),
        pipeline_name=pipeline_name,
    )


def _start_options(value: JsonObject) -> StartOptions:
    """The start options that an update shows. Nearly every update of a listing shows none."""
    if not any(value.get(name) for name in START_OPTIONS):
        return NO_OPTIONS
    lists = {name: names for name in SELECTIONS if isinstance(names := value.get(name), list)}
    chosen: dict[str, Any] = {name: tuple(each for each in lists[name] if isinstance(each, str)) for name in lists}
    return StartOptions(**chosen, validate_only=value.get(VALIDATE_ONLY) is True)
