"""The request to rotate the key of the await addresses, and its answer."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from polysync_core.rules.wire.http_contract import Call
from polysync_core.rules.wire.rotation_contract import decode_rotation, encode_rotation
from polysync_core.values.await_keys import Rotation
from polysync_core.values.errors import InvalidRequest
from tests.rules.examples import NOW

DAYS = "must be a whole number of days from 0 to 30"


def call(body: object = None, **query: str) -> Call:
    content = b"" if body is None else json.dumps(body).encode()
    return Call(method="POST", url="http://a/api/secrets/await/rotate", query=query, body=content)


@pytest.mark.parametrize(
    ("body", "days"),
    [(None, 7), ({}, 7), ({"keepOldForDays": 0}, 0), ({"keepOldForDays": 30}, 30), ({"keepOldForDays": 7.0}, 7)],
)
def test_the_days_are_0_to_30_and_7_if_they_are_left_out(body: object, days: int) -> None:
    assert decode_rotation(call(body, code="k")) == days


@pytest.mark.parametrize("given", [-1, 31, 7.5, "7", True, None, [7], 10**40, 1e300], ids=str)
def test_other_days_are_refused_with_the_range(given: object) -> None:
    with pytest.raises(InvalidRequest) as wrong:
        decode_rotation(call({"keepOldForDays": given}))
    (problem,) = wrong.value.problems
    assert (problem.field, problem.allowed) == ("keepOldForDays", DAYS)


@pytest.mark.parametrize(
    ("body", "query", "field", "allowed"),
    [
        ({"keepDays": 1}, {}, "keepDays", "is not a field of a rotation; there are keepOldForDays"),
        ({"workspace": "a"}, {}, "workspace", "is not a field of a rotation; there are keepOldForDays"),
        ({}, {"workspace": "a"}, "workspace", "is not a query parameter of this route; there are none"),
        ([7], {}, "body", "must be a JSON object, like {}"),
    ],
)
def test_what_a_rotation_does_not_have_is_named(body: object, query: dict[str, str], field: str, allowed: str) -> None:
    with pytest.raises(InvalidRequest) as wrong:
        decode_rotation(call(body, **query))
    (problem,) = wrong.value.problems
    assert problem.field == field
    assert problem.allowed.startswith(allowed)


def test_the_answer_holds_two_times_and_no_key() -> None:
    assert encode_rotation(Rotation(rotated_at=NOW, old_valid_until=NOW + timedelta(days=7))) == {
        "rotatedAt": "2026-11-22T12:00:00.000Z",
        "oldValidUntil": "2026-11-29T12:00:00.000Z",
    }
