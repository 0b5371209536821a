"""The app answers as openapi.json says, for any request. `make fuzz` does the same with many more requests."""

from __future__ import annotations

import json

import pytest
import schemathesis

from polysync_core.rules.wire.entra_settings import ENTRA, KEYS
from polysync_core.rules.wire.openapi.document import openapi_document
from tests.functions.app import Answer
from tests.fuzz.credentials import Credential
from tests.fuzz.door import fault_of_the_door
from tests.fuzz.fuzzing import fuzz


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("mode", "examples"), [(KEYS, 5), (ENTRA, 10)])
def test_no_request_gets_a_5xx_or_an_answer_that_is_not_documented(azurite: str, mode: str, examples: int) -> None:
    summary = fuzz(azurite, mode, examples, seed=1)
    assert not summary.failures, str(summary)
    for route, statuses in summary.answers.items():
        assert statuses.total() == examples, route
        assert any(status < 300 for status in statuses), f"{route}: no request came through, so little was tried"


LIST, START, DISCOVER, ROTATE, HEALTH = (
    ("GET", "/api/runs"),
    ("POST", "/api/pipelines/{pipeline_id}/updates"),
    ("POST", "/api/jobs/discover"),
    ("POST", "/api/secrets/await/rotate"),
    ("GET", "/api/health"),
)
CHALLENGE = {"www-authenticate": "Bearer x"}
EAST, WEST = {"workspace": "east"}, {"workspace": "west"}


@pytest.mark.parametrize(
    ("route", "roles", "status", "body", "fault"),
    [
        (LIST, None, 401, {}, None),
        (LIST, None, 200, {"items": []}, "let in without"),
        (LIST, None, 404, {}, "let in without"),
        (HEALTH, None, 200, {}, None),
        (HEALTH, None, 401, {}, "an open route"),
        (LIST, ["Polysync.Read"], 401, {}, "a credential that is right is refused"),
        (LIST, ["Polysync.Read"], 403, {}, "great enough is refused"),
        (LIST, [], 200, {"items": []}, "too small"),
        (LIST, ["Polysync.Read.west"], 200, {"items": [WEST]}, None),
        (LIST, ["Polysync.Read.west"], 200, {"items": [WEST, EAST]}, "too small"),
        (LIST, ["Polysync.Read.west"], 404, {"detail": "not east"}, "names a workspace"),
        (START, ["Polysync.Operate.east"], 202, EAST, None),
        (START, ["Polysync.Operate.east"], 202, WEST, "too small"),
        (START, ["Polysync.Read", "polysync.operate"], 202, EAST, "too small"),
        (DISCOVER, ["Polysync.Operate", "Polysync.Admin.west"], 200, WEST, None),
        (DISCOVER, ["Polysync.Operate", "Polysync.Admin.west"], 200, EAST, "too small"),
        (ROTATE, ["Polysync.Admin"], 200, {}, None),
        (ROTATE, ["Polysync.Admin.west", "Polysync.Admin.east"], 200, {}, "let in with a role that is too small"),
    ],
)
def test_the_fuzzer_knows_who_may_do_what(
    route: tuple[str, str], roles: list[str] | None, status: int, body: dict[str, object], fault: str | None
) -> None:
    schema = schemathesis.openapi.from_dict(json.loads(json.dumps(openapi_document("https://app.example"))))
    answer = Answer(status=status, headers=CHALLENGE, body=json.dumps(body).encode())
    credential = Credential(kind="", headers={}, roles=None if roles is None else tuple(roles))
    method, path = route
    found = fault_of_the_door(answer, "", schema[path][method], credential, ["east", "west"])
    assert found is None if fault is None else fault in str(found), found
