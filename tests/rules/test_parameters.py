"""Parameters: which are imported, what their values are, and what a start sends of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.rules.decisions.parameters import (
    DEFAULT_PATTERNS,
    ImportRules,
    data_type_of,
    import_parameters,
    is_same,
    parse_patterns,
    read_value,
    resolve_full_refresh,
    show_parameters,
)
from polysync_core.values.databricks import PipelineSpec
from polysync_core.values.job import DataType, Direction, FullRefresh, ImportedValue, Parameter, Value
from polysync_core.values.start_options import NO_OPTIONS, StartOptions

DEFAULTS = parse_patterns(DEFAULT_PATTERNS)
ALL = ("*",)
FALSE = {"continuous": False, "development": False, "photon": False}


def imported_of(
    spec: Mapping[str, object], patterns: Sequence[str], parameters: Mapping[str, object] | None = None
) -> dict[str, ImportedValue]:
    pipeline = PipelineSpec(name=None, spec=spec, parameters=parameters or {})
    return import_parameters(pipeline, ImportRules(patterns=patterns, key=b"key"))


# --- which are imported


def test_the_mission_s_settings_are_imported_and_no_others() -> None:
    spec: dict[str, Any] = {
        "id": "p1",
        "name": "orders",
        "continuous": False,
        "development": True,
        "photon": True,
        "serverless": False,
        "channel": "CURRENT",
        "clusters": [{"label": "default"}],
        "configuration": {"spark.sql.shuffle.partitions": "200", "custom.stage": "test", "pipelines.reset": "no"},
    }
    assert imported_of(spec, DEFAULTS) == {
        "continuous": False,
        "custom.stage": "test",
        "development": True,
        "photon": True,
        "spark.sql.shuffle.partitions": 200,
    }


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("spark.*", "spark.executor.cores", True),
        ("spark.*", "spark.", True),
        ("spark.*", "spark", False),
        ("spark.*", "Spark.x", False),
        ("spark.*", "my.spark.x", False),
        ("spark.*", "sparkxy", False),
        ("photon", "photonic", False),
        ("a?c", "abc", True),
        ("a?c", "ac", False),
        ("a[bc]d", "acd", True),
        ("a[!b]d", "abd", False),
        ("a[*]b", "a*b", True),
        ("a[*]b", "axb", False),
        ("[[]x", "[x", True),
        ("*", "line\nbreak", True),
        ("custom.*", "custom.a/b#c?d e", True),
    ],
)
def test_a_pattern_matches_the_whole_name(pattern: str, name: str, matches: bool) -> None:
    imported = imported_of({"configuration": {name: "x"}}, parse_patterns(pattern))
    assert (name in imported) is matches


def test_top_level_fields_are_filtered_too_and_others_can_be_asked_for() -> None:
    spec = {"continuous": True, "photon": True, "serverless": True, "clusters": [], "target": None}
    assert imported_of(spec, ("photon", "serverless", "clusters", "target")) == {
        "photon": True,
        "serverless": True,
    }


@pytest.mark.parametrize("name", ["full_refresh", "id", "name"])
def test_these_are_never_invented_by_an_import(name: str) -> None:
    assert imported_of({name: "true", "configuration": {name: "true"}}, ALL) == FALSE


def test_the_field_that_acts_goes_before_a_configuration_entry_of_its_name() -> None:
    for spec in ({"photon": False}, {}):
        assert imported_of({**spec, "configuration": {"photon": "true"}}, ALL, {"photon": "true"}) == FALSE


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"continuous": True, "development": True, "photon": True}, "there"),
        ({"development": True}, "two are missing"),
        ({"continuous": None, "development": True, "photon": None}, "null is missing"),
        ({}, "all are missing"),
    ],
)
def test_what_databricks_leaves_out_because_it_is_false_is_false(spec: Mapping[str, object], reason: str) -> None:
    expected = {name: spec.get(name) is True for name in FALSE}
    assert imported_of(spec, DEFAULTS) == expected, reason
    assert imported_of(spec, ("photon",)) == {"photon": expected["photon"]}, "a pattern still chooses"


def test_a_pipeline_s_own_parameters_are_imported_like_its_configuration() -> None:
    own = {"custom.day": "2026-11-01", "custom.n": "7", "region": "eu", "custom.none": None, "custom.a": "own"}
    spec = {"configuration": {"custom.a": "of the configuration", "custom.b": "b"}}
    expected = {"custom.a": "own", "custom.b": "b", "custom.day": "2026-11-01", "custom.n": 7}
    assert imported_of(spec, ("custom.*",), own) == expected
    assert imported_of(spec, ("region",), own) == {"region": "eu"}


@pytest.mark.parametrize("configuration", [None, [], "x", 3, {}, {"spark.x": None}])
def test_a_configuration_that_holds_nothing_gives_nothing(configuration: object) -> None:
    assert imported_of({"configuration": configuration}, DEFAULTS) == FALSE


def test_600_keys_and_a_value_of_30000_characters_come_whole_and_in_order() -> None:
    configuration = {f"custom.{number:03}": str(number) for number in reversed(range(600))} | {"spark.x": "x" * 30_000}
    imported = imported_of({"configuration": configuration}, ("custom.*", "spark.*"))
    assert [*imported] == sorted(configuration)
    assert (imported["custom.599"], imported["spark.x"]) == (599, "x" * 30_000)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds an empty pattern (a comma too many)"),
        ("spark.*,,photon", "holds an empty pattern (a comma too many)"),
        ("photon,", "holds an empty pattern (a comma too many)"),
        ("spark.[ab", "'spark.[ab' opens a '[' that no ']' closes"),
        ("x[]", "'x[]' opens a '[' that no ']' closes"),
        ("spark .*", "'spark .*' must be 1 to 200 characters, without blanks"),
        ("spark\x00*", "must be 1 to 200 characters"),
        ("x" * 201, "must be 1 to 200 characters"),
        (",".join(["x"] * 101), "holds 101 patterns; at most 100 are allowed"),
    ],
)
def test_a_malformed_list_of_patterns_says_what_is_wrong(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_patterns(text)


@given(st.text("ab*?[]!-\\.,", max_size=12))
def test_every_pattern_that_is_accepted_can_be_matched(text: str) -> None:
    try:
        patterns = parse_patterns(text)
    except ValueError:
        return
    imported_of({"configuration": {"a": "b"}}, patterns)


def test_patterns_may_stand_with_blanks_between_and_twice() -> None:
    assert parse_patterns(" photon , spark.*,photon ") == ("photon", "spark.*")


# --- values and their types


@pytest.mark.parametrize(
    ("held", "value", "data_type"),
    [
        (True, True, DataType.BOOL),
        (False, False, DataType.BOOL),
        ("true", True, DataType.BOOL),
        ("false", False, DataType.BOOL),
        ("TRUE", "TRUE", DataType.BOOL),
        ("yes", "yes", DataType.STRING),
        (8, 8, DataType.INT),
        ("200", 200, DataType.INT),
        ("-1", -1, DataType.INT),
        ("0", 0, DataType.INT),
        ("9007199254740991", 9007199254740991, DataType.INT),
        ("9007199254740993", "9007199254740993", DataType.INT),
        ("-0", "-0", DataType.INT),
        ("9" * 5000, "9" * 5000, DataType.INT),
        ("007", "007", DataType.STRING),
        ("+5", "+5", DataType.STRING),
        ("1_000", "1_000", DataType.STRING),
        ("٣", "٣", DataType.STRING),
        (0.5, 0.5, DataType.FLOAT),
        ("0.75", 0.75, DataType.FLOAT),
        ("1.0", 1.0, DataType.FLOAT),
        ("3.10", "3.10", DataType.FLOAT),
        ("1e-3", "1e-3", DataType.FLOAT),
        ("1e-07", 1e-07, DataType.FLOAT),
        ("0.1000000000000000055", "0.1000000000000000055", DataType.FLOAT),
        ("12e4567", "12e4567", DataType.STRING),
        ("NaN", "NaN", DataType.STRING),
        ("1.2.3", "1.2.3", DataType.STRING),
        ("1.", "1.", DataType.STRING),
        ("", "", DataType.STRING),
        (" 1", " 1", DataType.STRING),
        ("1\n", "1\n", DataType.STRING),
        ("abfss://x@y/z?a#b", "abfss://x@y/z?a#b", DataType.STRING),
        (["a", 1], '["a", 1]', DataType.STRING),
        ("half a pair \ud83d", "half a pair \ufffd", DataType.STRING),
    ],
)
def test_a_value_and_its_type_are_read_off_what_databricks_holds(
    held: object, value: Value, data_type: DataType
) -> None:
    read = read_value(held)
    assert is_same(read, value)
    assert data_type_of(read) is data_type


@given(
    st.text(st.characters(codec="utf-8"))
    | st.from_regex(r"-?[0-9]{1,20}(\.[0-9]{1,20})?([eE]-?[0-9]{1,3})?", fullmatch=True)
)
def test_written_as_text_a_value_is_what_databricks_holds(held: str) -> None:
    value = read_value(held)
    assert (value if isinstance(value, str) else json.dumps(value)) == held
    assert is_same(json.loads(json.dumps(value)), value), "it comes back from storage as it went in"


@pytest.mark.parametrize(("one", "other"), [(True, 1), (False, 0), (1, 1.0), ("1", 1), (0.0, -0.0)])
def test_values_that_python_takes_for_equal_are_not_the_same(one: Value, other: Value) -> None:
    assert not is_same(one, other)


# --- full_refresh


@pytest.mark.parametrize(
    ("requested", "value", "direction", "sent", "forwarded"),
    [
        (None, True, Direction.INPUT, True, True),
        (None, False, Direction.INPUT, False, True),
        (None, True, Direction.BOTH, True, True),
        (None, True, Direction.OUTPUT, False, False),
        (False, True, Direction.INPUT, False, True),
        (True, False, Direction.INPUT, True, True),
        (True, True, Direction.OUTPUT, True, False),
    ],
)
def test_full_refresh_is_the_request_s_then_the_job_s_if_its_direction_lets_it_be_sent(
    requested: bool | None, value: bool, direction: Direction, sent: bool, forwarded: bool
) -> None:
    stored = FullRefresh(value=value, direction=direction)
    assert resolve_full_refresh(requested, stored, NO_OPTIONS) is sent
    assert show_parameters({}, stored) == (
        Parameter(name="full_refresh", value=value, data_type=DataType.BOOL, direction=direction, forwarded=forwarded),
    )


@pytest.mark.parametrize(("requested", "sent"), [(None, False), (True, True), (False, False)])
def test_without_a_stored_one_it_is_the_request_s_else_false(requested: bool | None, sent: bool) -> None:
    assert resolve_full_refresh(requested, None, NO_OPTIONS) is sent


@pytest.mark.parametrize(
    "options",
    [
        StartOptions(refresh_selection=("orders",)),
        StartOptions(full_refresh_selection=("orders",)),
        StartOptions(reset_checkpoint_selection=("orders",)),
        StartOptions(validate_only=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("requested", [None, False])
def test_a_stored_full_refresh_never_contradicts_the_start_options_of_a_request(
    options: StartOptions, requested: bool | None
) -> None:
    assert resolve_full_refresh(requested, FullRefresh(value=True, direction=Direction.INPUT), options) is False


def test_imported_parameters_are_shown_for_reference_only() -> None:
    shown = show_parameters({"photon": True, "custom.x": "y"}, FullRefresh(value=True))
    assert [(one.name, one.direction, one.forwarded) for one in shown] == [
        ("custom.x", Direction.INPUT, False),
        ("full_refresh", Direction.INPUT, True),
        ("photon", Direction.INPUT, False),
    ]
