"""Start options in the body of a start: which are read, which are refused, and how an error names the reason."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from polysync_core.rules.wire.start_contract import decode_start
from polysync_core.values.errors import FieldProblem, InvalidRequest
from polysync_core.values.run import StartRequest
from polysync_core.values.start_options import NO_OPTIONS, SELECTIONS, START_OPTIONS, StartOptions
from tests.rules.examples import make_call

NAMES = ["orders", "main.sales.items"]
LONGEST = "x" * 767


def start(body: dict[str, Any], allowed: tuple[str, ...] = START_OPTIONS) -> StartRequest:
    return decode_start(make_call(json.dumps(body), pipeline_id="p"), ("default",), options=allowed)


def refused(body: dict[str, Any], allowed: tuple[str, ...] = START_OPTIONS) -> FieldProblem:
    with pytest.raises(InvalidRequest) as caught:
        start(body, allowed)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, NO_OPTIONS),
        (dict.fromkeys(START_OPTIONS), NO_OPTIONS),
        ({"validate_only": False}, NO_OPTIONS),
        ({"validate_only": "FALSE"}, NO_OPTIONS),
        ({"validate_only": "True"}, StartOptions(validate_only=True)),
        ({"refresh_selection": NAMES}, StartOptions(refresh_selection=tuple(NAMES))),
        ({"full_refresh_selection": [LONGEST]}, StartOptions(full_refresh_selection=(LONGEST,))),
        (
            {"refresh_selection": ["a"], "full_refresh_selection": ["b"], "reset_checkpoint_selection": ["a", "b"]},
            StartOptions(
                refresh_selection=("a",), full_refresh_selection=("b",), reset_checkpoint_selection=("a", "b")
            ),
        ),
        ({"refresh_selection": ["`my table`.ünïcode-☃"]}, StartOptions(refresh_selection=("`my table`.ünïcode-☃",))),
    ],
)
def test_what_is_read(body: dict[str, Any], expected: StartOptions) -> None:
    assert start(body).options == expected
    assert start({**body, "full_refresh": False}).options == expected


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize(
    "given",
    [
        [],
        "orders",
        {"a": 1},
        5,
        True,
        [1],
        [None],
        [["a"]],
        [""],
        [" "],
        [" a"],
        ["a "],
        ["a\n"],
        ["a\tb"],
        ["a\x7fb"],
        ["a\x00"],
        [LONGEST + "x"],
        [str(number) for number in range(201)],
    ],
    ids=lambda given: json.dumps(given)[:20],
)
def test_a_selection_that_is_not_a_bounded_list_of_names_is_refused(name: str, given: object) -> None:
    problem = refused({name: given})
    assert problem.field == name
    assert problem.allowed.startswith("must be a list of 1 to 200 names")


@pytest.mark.parametrize("twice", [["a", "b", "a"], ["Orders", "orders"], ["`a`.b", "a.b"]])
def test_a_name_twice_in_one_selection_is_refused_and_shown(twice: list[str]) -> None:
    name = twice[-1].replace("`", "")
    assert refused({"refresh_selection": twice}).allowed == f"must not name {name} twice"


def test_braces_in_a_name_are_only_a_name() -> None:
    assert refused({"refresh_selection": ["{x}", "{x}"]}).allowed == "must not name {x} twice"


def test_two_hundred_names_are_read_and_long_ones_only_as_far_as_they_fit_into_one_column() -> None:
    assert len(start({"refresh_selection": [str(number) for number in range(200)]}).options.refresh_selection) == 200
    long = [f"{number:0200d}" for number in range(200)]
    assert "characters together" in refused({"refresh_selection": long}).allowed


@pytest.mark.parametrize(
    ("body", "field", "allowed"),
    [
        ({"full_refresh": True, "refresh_selection": ["a"]}, "refresh_selection", "contradicts full_refresh"),
        ({"full_refresh": "true", "full_refresh_selection": ["a"]}, "full_refresh_selection", "contradicts full_refr"),
        ({"full_refresh": True, "reset_checkpoint_selection": ["a"]}, "reset_checkpoint_selection", "contradicts"),
        ({"full_refresh": True, "validate_only": True}, "validate_only", "contradicts full_refresh"),
        ({"parameters": {"full_refresh": "TRUE"}, "validate_only": True}, "validate_only", "contradicts full_refresh"),
        ({"validate_only": True, "refresh_selection": ["a"]}, "validate_only", "contradicts refresh_selection"),
        ({"validate_only": True, "full_refresh_selection": ["a"]}, "validate_only", "contradicts full_refresh_sel"),
        ({"validate_only": "true", "reset_checkpoint_selection": ["a"]}, "validate_only", "contradicts reset_check"),
        (
            {"refresh_selection": ["a", "b"], "full_refresh_selection": ["c", "B"]},
            "full_refresh_selection",
            "names a table of refresh_selection too",
        ),
    ],
)
def test_options_that_contradict_each_other_are_refused_by_name(body: dict[str, Any], field: str, allowed: str) -> None:
    problem = refused(body)
    assert problem.field == field
    assert allowed in problem.allowed


def test_a_true_full_refresh_is_fine_beside_options_that_say_nothing() -> None:
    request = start({"full_refresh": True, "validate_only": False, "refresh_selection": None})
    assert (request.full_refresh, request.options) == (True, NO_OPTIONS)


# --- which of them an app allows


@pytest.mark.parametrize("name", START_OPTIONS)
@pytest.mark.parametrize("value", [None, ["a"], True, 5])
def test_an_option_that_the_app_does_not_allow_is_refused_with_the_setting_that_allows_it(
    name: str, value: object
) -> None:
    others = tuple(option for option in START_OPTIONS if option != name)
    for allowed in ((), others):
        problem = refused({name: value}, allowed)
        assert problem.field == name
        assert problem.allowed == (
            "is a start option that this app does not allow; an operator allows it in the setting "
            "POLYSYNC_START_OPTIONS"
        )


def test_an_unknown_field_is_answered_with_the_fields_that_the_app_has() -> None:
    assert refused({"x": 1}, ()).allowed == (
        "is not a field of a start; there are full_refresh, pipeline_id, parameters, callBackUri, callbackUrl, "
        "onConflict, timeoutMinutes, followRetries, workspace"
    )
    allowed = refused({"validate": True}, ("validate_only",)).allowed
    assert allowed.endswith("workspace, validate_only; did you mean validate_only")
    assert "refresh_selection" not in allowed


# --- the fingerprint


def test_without_options_the_fingerprint_is_the_one_of_earlier_versions() -> None:
    """A key that was used before an upgrade still belongs to the same request."""
    for allowed in ((), START_OPTIONS):
        expected = hashlib.sha256(b'["default", "p", null, {}, "fail", null, false]').hexdigest()
        assert start({}, allowed).fingerprint == expected
    assert start({"validate_only": False}).fingerprint == expected


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"refresh_selection": ["a", "b"]}, {"refresh_selection": ["b", "A"]}, True),
        ({"validate_only": True}, {"validate_only": "true"}, True),
        ({"refresh_selection": ["a"]}, {"refresh_selection": ["b"]}, False),
        ({"refresh_selection": ["a"]}, {"full_refresh_selection": ["a"]}, False),
        ({"refresh_selection": ["a"]}, {"refresh_selection": ["a"], "reset_checkpoint_selection": ["a"]}, False),
        ({"refresh_selection": ["a"]}, {}, False),
        ({"validate_only": True}, {}, False),
    ],
)
def test_the_fingerprint_tells_starts_with_other_options_apart(
    one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    assert (start(one).fingerprint == start(other).fingerprint) is same
