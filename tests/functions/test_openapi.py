"""The OpenAPI document is valid and has exactly the routes that exist.

send_to in app.py checks every response in this folder's tests against it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import OpenAPIV2SpecValidator, OpenAPIV31SpecValidator
from pydantic import BaseModel, ValidationError

from local.host.functions import HttpTrigger
from polysync_core import __version__
from polysync_core.rules.wire.job_contract import DiscoverBody, ParameterBody
from polysync_core.rules.wire.openapi.document import openapi_document
from polysync_core.rules.wire.rotation_contract import RotationBody
from polysync_core.rules.wire.start_contract import StartBody, start_body
from polysync_core.values.start_options import SELECTIONS, START_OPTIONS
from tests.functions.app import Answer, Serve, ServedApp, functions_in, served
from tests.functions.documented import check_documented, document, operations


def test_the_served_document_is_valid_openapi_3_1_and_names_the_address_it_came_from(app: ServedApp) -> None:
    answer = app.send("GET", "/api/openapi.json", {}, b"")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    OpenAPIV31SpecValidator(answer.json).validate()
    assert answer.json["openapi"].startswith("3.1.")
    assert answer.json["info"]["version"] == __version__
    assert answer.json["servers"] == [{"url": app.base_url}]
    assert {**answer.json, "servers": None} == {**document(), "servers": None}


def test_the_servers_address_is_the_configured_one(serve: Serve) -> None:
    with serve(POLYSYNC_PUBLIC_URL="https://polysync.example") as app:
        assert app.get("/api/openapi.json", Host="evil.example").json["servers"] == [
            {"url": "https://polysync.example"}
        ]


def test_it_lists_exactly_the_functions_with_method_path_and_access_but_not_the_page() -> None:
    functions = {
        (function.name, method, f"/api/{function.trigger.route}", function.trigger.auth_level == "anonymous")
        for function in functions_in({})
        if isinstance(function.trigger, HttpTrigger) and function.name not in {"page", "page_file"}
        for method in function.trigger.methods
    }
    listed = {
        (operation["operationId"], method, path, operation.get("security") == [])
        for (method, path), operation in operations().items()
    }
    assert listed == functions
    assert len(listed) == len(operations())


def test_a_key_or_a_token_opens_all_others() -> None:
    schemes = document()["components"]["securitySchemes"]
    words = ("type", "in", "name", "scheme", "bearerFormat")
    used = [[schemes[name].get(word) for word in words] for use in document()["security"] for name in use]
    assert used == [
        ["apiKey", "header", "x-functions-key", None, None],
        ["apiKey", "query", "code", None, None],
        ["http", None, None, "bearer", "JWT"],
    ]
    for (method, path), operation in operations().items():
        assert ("401" in operation["responses"]) is (operation.get("security") != []), (method, path)


def test_no_request_fits_two_routes_of_one_method() -> None:
    """Of two overlapping routes the host takes the first function by name. The document does not show that."""

    def overlap(first: str, second: str) -> bool:
        pairs = [*zip(first.split("/"), second.split("/"), strict=False)]
        return first.count("/") == second.count("/") and all(a == b or "{" in a + b for a, b in pairs)

    assert overlap("/api/jobs/{pipeline_id}", "/api/jobs/discover")
    same_method = [(a[1], b[1]) for a, b in combinations(operations(), 2) if a[0] == b[0]]
    assert [pair for pair in same_method if overlap(*pair)] == []


def _all_examples() -> Iterator[Any]:
    for (method, path), operation in operations().items():
        media = [("body", operation.get("requestBody", {})), *operation["responses"].items()]
        for where, described in media:
            for content in described.get("content", {}).values():
                assert content["examples"], (method, path, where)
                for name, example in content["examples"].items():
                    yield pytest.param(content["schema"], example["value"], id=f"{method} {path} {where} {name}")


@pytest.mark.parametrize(("schema", "example"), [*_all_examples()])
def test_an_example_fits_its_schema(schema: dict[str, Any], example: object) -> None:
    validator = OAS31Validator({**schema, "components": document()["components"]}, format_checker=oas31_format_checker)
    assert [error.message for error in validator.iter_errors(example)] == []


def test_every_object_that_is_answered_is_closed_so_that_a_new_field_must_be_described() -> None:
    schemas = document()["components"]["schemas"]
    objects = {name: schema for name, schema in schemas.items() if schema["type"] == "object"}
    assert {name for name, schema in objects.items() if schema["additionalProperties"] is not False} == set()


_LISTS: Sequence[object] = [
    *(
        None,
        ["a"],
        ["a", "main.b"],
        ["x" * 767],
        [str(number) for number in range(200)],
        [" "],
        ["a\n"],
        [" a"],
        ["a "],
    ),
    *([], "a", [1], [""], ["a", "a"], ["x" * 768], [str(number) for number in range(201)], {"a": 1}, ["a\x7fb"]),
]
_FIELDS: Sequence[tuple[type[BaseModel], str, Sequence[object]]] = [
    (StartBody, "full_refresh", [True, "TRUE", "false", None, 1, "yes", []]),
    (StartBody, "followRetries", [False, "True", None, 0, "no"]),
    (StartBody, "timeoutMinutes", [1, 0.5, 43_200, 0, 43_201, "1", True]),
    (StartBody, "onConflict", ["fail", "attach", None, "wait", 1]),
    (StartBody, "parameters", [{}, {"a": [1]}, {"": 1}, {"n" * 128: 1}, {"n" * 129: 1}, [], "a"]),
    *((StartBody, text, ["a", None, 7]) for text in ("pipeline_id", "callBackUri", "callbackUrl", "workspace", "more")),
    (DiscoverBody, "continuation", ["", "a" * 16_000, "a" * 16_001, 1, None]),
    (ParameterBody, "value", [False, "True", None, 0]),
    (ParameterBody, "direction", ["Input&Output", "Both", None]),
    (ParameterBody, "more", [1]),
    (RotationBody, "keepOldForDays", [0, 30, 7.0, -1, 31, 7.5, "7", True, None]),
    (RotationBody, "more", [1]),
]


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (model, ({"value": True} if model is ParameterBody else {}) | {field: value})
        for model, field, values in _FIELDS
        for value in values
    ]
    + [(ParameterBody, {})],
    ids=str,
)
def test_the_schema_of_a_body_allows_what_the_app_allows(model: type[BaseModel], body: dict[str, object]) -> None:
    _check_that_the_schema_agrees(document(), model, body)


def _check_that_the_schema_agrees(told: Mapping[str, Any], model: type[BaseModel], body: dict[str, object]) -> None:
    schemas = told["components"]["schemas"]
    said = OAS31Validator({**schemas[model.__name__], "components": {"schemas": schemas}}).is_valid(body)
    try:
        model.model_validate(body)
    except ValidationError:
        assert not said, body
    else:
        assert said, body


class TestStartOptions:
    """The document shows the start options that the app allows, and no other."""

    def test_the_body_of_a_start_has_exactly_the_allowed_ones(self, azurite: str) -> None:
        with served(azurite, POLYSYNC_START_OPTIONS="validate_only,refresh_selection") as allowing:
            fields = allowing.get("/api/openapi.json").json["components"]["schemas"]["StartBody"]["properties"]
        without = document()["components"]["schemas"]["StartBody"]["properties"]
        assert fields.keys() - without.keys() == {"validate_only", "refresh_selection"}
        assert not without.keys() & {*START_OPTIONS}
        assert all(field["description"] for field in fields.values())

    def test_both_versions_are_valid(self, azurite: str) -> None:
        with served(azurite, POLYSYNC_START_OPTIONS=",".join(START_OPTIONS)) as allowing:
            newer = allowing.get("/api/openapi.json").json
            older = allowing.get("/api/openapi.json?version=2.0").json
        OpenAPIV31SpecValidator(newer).validate()
        OpenAPIV2SpecValidator(older).validate()
        body = older["definitions"]["StartBody"]["properties"]
        assert body.keys() == newer["components"]["schemas"]["StartBody"]["properties"].keys() >= {*START_OPTIONS}
        assert {body[name]["type"] for name in SELECTIONS} == {"array"}

    @pytest.mark.parametrize("name", SELECTIONS)
    def test_the_schema_allows_what_the_app_allows(self, name: str) -> None:
        told = openapi_document("https://app.example", START_OPTIONS)
        for value in _LISTS:
            _check_that_the_schema_agrees(told, start_body(START_OPTIONS), {name: value})
        for flag in (True, "false", None, 1, "no"):
            _check_that_the_schema_agrees(told, start_body(START_OPTIONS), {"validate_only": flag})


@pytest.mark.parametrize(
    "change", ["a field more", "a field less", "another type", "another status", "another header", "no header"]
)
def test_an_answer_that_is_not_as_described_is_noticed(app: ServedApp, change: str) -> None:
    """The check that all tests of this folder use finds each of these differences."""
    pipeline = app.databricks.add_pipeline()
    started = app.start(pipeline)
    address, told = f"/api/pipelines/{pipeline}/updates", started.json
    unreadable = {
        "a field more": Answer(status=202, headers=started.headers, body=json.dumps(told | {"more": 1}).encode()),
        "a field less": Answer(
            status=202,
            headers=started.headers,
            body=json.dumps({name: value for name, value in told.items() if name != "state"}).encode(),
        ),
        "another type": Answer(status=202, headers=started.headers, body=json.dumps(told | {"state": 1}).encode()),
        "another status": Answer(status=201, headers=started.headers, body=started.body),
        "another header": Answer(status=202, headers={**started.headers, "etag": "x"}, body=started.body),
        "no header": Answer(status=202, headers={"content-type": "application/json"}, body=started.body),
    }[change]
    check_documented("POST", address, started.status, started.headers, started.body)
    with pytest.raises(AssertionError):
        check_documented("POST", address, unreadable.status, unreadable.headers, unreadable.body)


def test_a_path_of_the_configured_address_takes_the_place_of_api(serve: Serve) -> None:
    with serve(POLYSYNC_PUBLIC_URL="https://apim.example/polysync") as app:
        answer = app.get("/api/openapi.json")
    assert answer.json["servers"] == [{"url": "https://apim.example/polysync"}]
    assert {f"/api{path}" for path in answer.json["paths"]} == document()["paths"].keys()


def test_a_schema_is_titled_with_the_name_that_callers_see_and_described() -> None:
    for name, schema in document()["components"]["schemas"].items():
        assert schema.get("title", name) == name
        if schema.get("type") == "object":
            assert schema["description"]
