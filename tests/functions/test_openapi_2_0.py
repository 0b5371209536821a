"""`?version=2.0` answers the same document as OpenAPI 2.0. It is valid, and it leaves nothing out."""

from __future__ import annotations

import copy
import functools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator
from openapi_spec_validator import OpenAPIV2SpecValidator

from polysync_core.rules.wire.openapi.swagger import swagger_document
from tests.functions.app import Serve, ServedApp
from tests.functions.documented import document
from tests.functions.secrecy import check_problem

_MAX_CONNECTOR_BYTES = 1024 * 1024
"""A custom connector of Power Platform takes at most 1 MB."""


@functools.cache
def swagger() -> Mapping[str, Any]:
    """The 2.0 document as an importer reads it."""
    read: Mapping[str, Any] = json.loads(json.dumps(swagger_document(document())))
    return read


def test_the_served_document_is_valid_openapi_2_0_and_names_the_address_it_came_from(app: ServedApp) -> None:
    answer = app.send("GET", "/api/openapi.json?version=2.0", {}, b"")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    OpenAPIV2SpecValidator(answer.json).validate()
    address = {"host": app.base_url.removeprefix("http://"), "basePath": "/", "schemes": ["http"]}
    assert answer.json == {**swagger(), **address}
    assert len(answer.body) < _MAX_CONNECTOR_BYTES


def test_version_3_1_is_what_is_answered_without_a_version(app: ServedApp) -> None:
    assert app.get("/api/openapi.json?version=3.1").json == app.get("/api/openapi.json").json


@pytest.mark.parametrize("version", ["3.0", "2", "2.0.0", "swagger", "3.1.0"])
def test_any_other_version_is_refused_with_the_two_that_exist(app: ServedApp, version: str) -> None:
    refused = app.get(f"/api/openapi.json?version={version}")
    check_problem(refused, 400, "InvalidRequest")
    assert refused.json["errors"] == [
        {"field": "version", "given": f'"{version}"', "allowed": "must be one of 2.0, 3.1"}
    ]


def test_a_path_of_the_configured_address_is_the_base_path(serve: Serve) -> None:
    with serve(POLYSYNC_PUBLIC_URL="https://apim.example/polysync") as app:
        told = app.get("/api/openapi.json?version=2.0").json
    assert (told["host"], told["basePath"], told["schemes"]) == ("apim.example", "/polysync", ["https"])
    assert {f"/api{path}" for path in told["paths"]} == swagger()["paths"].keys()


def _operations(told: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, item in told["paths"].items():
        for method, operation in item.items():
            if not method.startswith("x-"):
                yield path, method, operation


def _target(told: Mapping[str, Any], described: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what `described` refers to, or itself if it is not a reference."""
    if "$ref" not in described:
        return described
    target: Any = told
    for name in described["$ref"].removeprefix("#/").split("/"):
        target = target[name]
    found: Mapping[str, Any] = target
    return found


def test_both_versions_have_the_same_operations_parameters_responses_and_headers() -> None:
    newer, older = document(), swagger()

    def parameters(told: Mapping[str, Any], operation: Mapping[str, Any]) -> set[tuple[str, str, bool]]:
        found = [_target(told, parameter) for parameter in operation.get("parameters", ())]
        if "requestBody" in operation:
            found.append({"name": "body", "in": "body", "required": operation["requestBody"]["required"]})
        return {(parameter["name"], parameter["in"], parameter["required"]) for parameter in found}

    def listed(told: Mapping[str, Any]) -> dict[object, object]:
        return {
            (operation["operationId"], method, path): (
                parameters(told, operation),
                {status: set(response.get("headers", ())) for status, response in operation["responses"].items()},
                operation.get("security"),
                *(operation.get(word) for word in ("tags", "summary", "description")),
            )
            for path, method, operation in _operations(told)
        }

    assert listed(older) == listed(newer)
    schemes = newer["components"]["securitySchemes"]
    bearer = {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": schemes["signIn"]["description"],
    }
    assert older["securityDefinitions"] == schemes | {"signIn": bearer}
    assert [older[word] for word in ("info", "tags", "security")] == [newer[w] for w in ("info", "tags", "security")]


def test_both_versions_have_the_same_fields_and_require_the_same() -> None:
    def fields(schemas: Mapping[str, Any]) -> dict[str, tuple[set[str], list[str]]]:
        return {name: (set(told.get("properties", ())), told.get("required", [])) for name, told in schemas.items()}

    assert fields(swagger()["definitions"]) == fields(document()["components"]["schemas"])


def test_a_field_is_nullable_where_the_newer_version_allows_null() -> None:
    def nullable(schemas: Mapping[str, Any], may_be_null: Callable[[Mapping[str, Any]], bool]) -> set[tuple[str, str]]:
        return {
            (name, field)
            for name, schema in schemas.items()
            for field, told in schema.get("properties", {}).items()
            if may_be_null(told)
        }

    newer = nullable(document()["components"]["schemas"], lambda told: {"type": "null"} in told.get("anyOf", ()))
    assert newer
    assert nullable(swagger()["definitions"], lambda told: told.get("x-nullable", False)) == newer


def test_every_reference_resolves() -> None:
    def references(told: object) -> Iterator[Mapping[str, Any]]:
        if isinstance(told, list):
            for entry in told:
                yield from references(entry)
        elif isinstance(told, dict):
            if "$ref" in told:
                yield told
            for value in told.values():
                yield from references(value)

    found = [*references(swagger())]
    assert found
    for reference in found:
        assert reference.keys() == {"$ref"}, "words beside a reference are ignored in 2.0"
        assert _target(swagger(), reference)


def test_every_example_fits_its_schema_and_every_body_and_answer_has_one() -> None:
    """The validator of 3.0 reads the schemas, which differ from those of 2.0 only in the name of x-nullable."""
    readable = json.loads(json.dumps(swagger()).replace('"x-nullable"', '"nullable"'))

    def fits(schema: Mapping[str, Any], example: object, where: object) -> None:
        validator = OAS30Validator({**schema, "definitions": readable["definitions"]})
        assert [error.message for error in validator.iter_errors(example)] == [], where

    for path, method, operation in _operations(readable):
        for status, response in operation["responses"].items():
            if "schema" in response:
                [(media_type, example)] = response["examples"].items()
                assert media_type in readable["produces"]
                fits(response["schema"], example, (method, path, status))
        for parameter in operation.get("parameters", ()):
            body = _target(readable, parameter.get("schema", {}))
            if "properties" in body:
                fits(body, body["example"], (method, path))


def test_a_custom_connector_fills_in_the_callback_address_of_a_start_and_waits_for_the_run() -> None:
    marked = [
        (name, field)
        for name, schema in swagger()["definitions"].items()
        for field, told in schema.get("properties", {}).items()
        if told.get("x-ms-notification-url")
    ]
    assert marked == [("StartBody", "callbackUrl")]
    waiting = {path: item for path, item in swagger()["paths"].items() if "x-ms-notification-content" in item}
    assert [item["post"]["operationId"] for item in waiting.values()] == ["start_update"]
    [item] = waiting.values()
    assert item["x-ms-notification-content"]["schema"] == {"$ref": "#/definitions/Run"}
    assert "x-ms-trigger" not in item["post"], "it is an action"
    hidden = {
        field: told.get("x-ms-visibility")
        for field, told in swagger()["definitions"]["StartBody"]["properties"].items()
    }
    assert {field for field, visibility in hidden.items() if visibility == "internal"} == {"callbackUrl", "callBackUri"}


_Change = Callable[[Any], object]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda told: told.update(webhooks={}), "webhooks"),
        (lambda told: told["components"].update(links={}), "links"),
        (lambda told: told["components"]["schemas"]["Run"].update(oneOf=[]), "oneOf"),
        (
            lambda told: told["components"]["schemas"]["Run"].update(anyOf=[{"type": "object"}, {"type": "array"}]),
            "array",
        ),
        (
            lambda told: told["components"]["schemas"]["Run"].update({"$ref": "#/components/headers/Location"}),
            "headers",
        ),
        (lambda told: told["components"]["parameters"]["limit"].update(style="form"), "style"),
        (lambda told: told["components"]["headers"]["Location"].update(explode=True), "explode"),
        (lambda told: told["paths"]["/api/runs"]["get"].update(callbacks={}), "callbacks"),
        (lambda told: told["paths"]["/api/runs"]["get"]["responses"]["200"].update(links={}), "links"),
        (
            lambda told: told["paths"]["/api/runs"]["get"]["responses"]["200"]["content"].update({"text/csv": {}}),
            "text/csv",
        ),
        (
            lambda told: told["paths"]["/api/runs"]["get"]["parameters"].append({"$ref": "#/components/x"}),
            "components/x",
        ),
    ],
)
def test_a_form_that_it_does_not_know_is_refused_and_named(change: _Change, named: str) -> None:
    told = copy.deepcopy(document())
    change(told)
    with pytest.raises(NotImplementedError, match=named):
        swagger_document(told)
