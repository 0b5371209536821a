"""The body of a start: what is decoded from it, and how an error names the wrong field."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.rules.wire.http_contract import decode_workspace_only
from polysync_core.rules.wire.start_contract import decode_start
from polysync_core.values.errors import BodyTooLarge, FieldProblem, InvalidRequest, PolysyncError
from polysync_core.values.run import OnConflict, StartRequest
from tests.rules.examples import PIPELINE, make_call

WORKSPACES = ("default", "sales")


def start(
    body: bytes | str | dict[str, object] = b"", query: dict[str, str] | None = None, key: str | None = None
) -> StartRequest:
    text = json.dumps(body) if isinstance(body, dict) else body
    headers = None if key is None else {"idempotency-key": key}
    return decode_start(make_call(text, query=query, headers=headers), WORKSPACES)


def refused(body: bytes | str | dict[str, object], query: dict[str, str] | None = None) -> FieldProblem:
    with pytest.raises(InvalidRequest) as caught:
        start(body, query)
    assert caught.value.http_status == 400
    assert len(caught.value.problems) == 1
    problem = caught.value.problems[0]
    for part in (problem.field, problem.allowed, problem.given or ""):
        assert part in caught.value.detail, "the message names the field, what was given and what is allowed"
    return problem


@pytest.mark.parametrize("body", ["", "  \n", "{}", '\ufeff{"parameters": null}', '{"full_refresh": null}'])
def test_everything_is_optional(body: str) -> None:
    request = start(body)
    assert request.fingerprint
    assert request == StartRequest(workspace="default", pipeline_id=PIPELINE, fingerprint=request.fingerprint)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (True, True),
        (False, False),
        ("true", True),
        ("false", False),
        ("TRUE", True),
        ("FALSE", False),
        ("True", True),
        ("fAlSe", False),
        (None, None),
    ],
)
def test_full_refresh_is_a_boolean_or_its_string_in_any_case(given: object, expected: bool | None) -> None:
    assert start({"full_refresh": given}).full_refresh is expected
    assert start({"parameters": {"full_refresh": given}}).full_refresh is expected


@pytest.mark.parametrize("given", [0, 1, 1.0, "yes", "", " true", "1", "null", [], [True], {}, {"value": True}])
def test_any_other_full_refresh_is_refused(given: object) -> None:
    expected = 'must be true or false (or the strings "true" and "false")'
    assert refused({"full_refresh": given}) == FieldProblem(
        field="full_refresh", allowed=expected, given=json.dumps(given)
    )
    assert refused({"parameters": {"full_refresh": given}}) == FieldProblem(
        field="parameters.full_refresh", allowed=expected, given=json.dumps(given)
    )


@pytest.mark.parametrize(
    ("outer", "inner", "expected"),
    [(True, True, True), ("TRUE", True, True), (False, "false", False), (None, True, True), (True, None, True)],
)
def test_full_refresh_may_be_given_twice_with_the_same_value(outer: object, inner: object, expected: bool) -> None:
    assert start({"full_refresh": outer, "parameters": {"full_refresh": inner}}).full_refresh is expected


@pytest.mark.parametrize(("outer", "inner"), [(True, False), (False, True), ("true", "FALSE"), (False, "true")])
def test_a_contradiction_is_refused(outer: object, inner: object) -> None:
    problem = refused({"full_refresh": outer, "parameters": {"full_refresh": inner}})
    assert problem.field == "parameters.full_refresh"
    assert "contradicts full_refresh" in problem.allowed
    assert problem.given == str(inner).lower()


@pytest.mark.parametrize("number", ["-" + "9" * 100, "-1." + "5" * 98 + "e0", "1e308", "1E-999"])
def test_a_number_of_100_digits_is_read(number: str) -> None:
    assert start('{"parameters": {"x": ' + number + "}}").ignored_parameters == ("x",)


def test_the_mark_of_utf_8_may_stand_before_a_body() -> None:
    assert start(b'\xef\xbb\xbf{"full_refresh": true}').full_refresh is True


def test_the_missions_own_body_is_accepted() -> None:
    request = start({"pipeline_id": PIPELINE, "full_refresh": True})
    assert (request.pipeline_id, request.full_refresh) == (PIPELINE, True)


def test_every_other_parameter_is_listed_as_ignored() -> None:
    request = start({"parameters": {"spark.x": "1", "full_refresh": "true", "b": None, "a": [1, {"deep": 2}]}})
    assert request.ignored_parameters == ("spark.x", "b", "a")
    assert request.full_refresh is True


def test_on_conflict_is_read() -> None:
    assert start({"onConflict": "attach"}).on_conflict is OnConflict.ATTACH
    assert start({"onConflict": "fail"}).on_conflict is OnConflict.FAIL


@pytest.mark.parametrize(
    ("body", "field", "given", "allowed", "reason"),
    [
        ("{", "body", None, "must be a JSON object", "not JSON"),
        ("full_refresh=true", "body", None, "must be a JSON object", "a form"),
        (b"\xff\xfe\xfa", "body", None, "must be a JSON object", "no text"),
        ("{} {}", "body", None, "must be a JSON object", "two documents"),
        ("[]", "body", "[]", "must be a JSON object", "a list"),
        ('"{}"', "body", '"{}"', "must be a JSON object", "a string"),
        ("5", "body", "5", "must be a JSON object", "a number"),
        ("true", "body", "true", "must be a JSON object", "a boolean"),
        ("null", "body", "null", "must be a JSON object", "null"),
        ("9" * 5000, "body", None, "must be a JSON object", "more digits than Python reads"),
        ('{"parameters": {"x": 0.' + "1" * 100 + "}}", "body", None, "too long", "a fraction of 101 digits"),
        ('{"parameters": {"x": 1e' + "0" * 100 + "}}", "body", None, "too long", "an exponent of 100 digits"),
        ('{"parameters": {"x": 1e999}}', "body", None, "too large", "a number that no double holds"),
        ('{"parameters": {"x": -1e999}}', "body", None, "too large", "below all doubles"),
        ('{"full_refresh": true}'.encode("utf-16"), "body", None, "in UTF-8", "UTF-16"),
        ('{"full_refresh": true}'.encode("utf-16-le"), "body", None, "JSON object", "UTF-16 without its mark"),
        ('{"full_refresh": true}'.encode("utf-32"), "body", None, "in UTF-8", "UTF-32"),
        (b'{"workspace": "\xed\xa0\x80"}', "body", None, "in UTF-8", "half a surrogate pair in bytes"),
        ('{"full_refresh": NaN}', "body", None, "NaN is not JSON", "NaN"),
        ('{"parameters": {"x": Infinity}}', "body", None, "Infinity is not JSON", "Infinity"),
        ('{"parameters": {"x": -Infinity}}', "body", None, "-Infinity is not JSON", "-Infinity"),
        ('{"full_refresh": true, "full_refresh": false}', "body", None, "twice", "a name twice"),
        ('{"parameters": {"a": 1, "a": 2}}', "body", None, "twice", "a name twice further in"),
        ("[" * 30_000 + "]" * 30_000, "body", None, "nested", "nested deeply"),
        ('{"parameters": ' * 4000 + "{}" + "}" * 4000, "body", None, "nested", "nested deeply"),
        ('{"fullRefresh": true}', "fullRefresh", "true", "full_refresh", "misspelt: the names are told"),
        ('{"callbackURL": "x"}', "callbackURL", None, "is not a field", "unknown, and may be a credential"),
        ('{"hook": "https://x/?sig=1"}', "hook", "an address", "is not a field", "unknown, and may be a credential"),
        ('{"callbackUrl": 5}', "callbackUrl", None, "string", "a number"),
        ('{"callBackUri": {"url": "x"}}', "callBackUri", None, "string", "an object"),
        ('{"callBackUri": "x", "callbackUrl": "x"}', "callBackUri", None, "together with callbackUrl", "both"),
        (f'{{"pipeline_id": "{PIPELINE}x"}}', "pipeline_id", f'"{PIPELINE}x"', PIPELINE, "another pipeline"),
        (f'{{"pipeline_id": "{PIPELINE[:-1]}c"}}', "pipeline_id", f'"{PIPELINE[:-1]}c"', PIPELINE, "another id"),
        ('{"pipeline_id": ""}', "pipeline_id", '""', PIPELINE, "empty"),
        ('{"pipeline_id": 5}', "pipeline_id", "5", "string", "a number"),
        ('{"parameters": []}', "parameters", "[]", "JSON object", "a list of parameters"),
        ('{"parameters": {"": 1}}', "parameters", None, "1 to 128 characters", "a parameter without a name"),
        (f'{{"parameters": {{"{"n" * 129}": 1}}}}', "parameters", None, "1 to 128 characters", "a long name"),
        ('{"onConflict": "ATTACH"}', "onConflict", '"ATTACH"', '"fail" or "attach"', "another case"),
        ('{"onConflict": true}', "onConflict", "true", '"fail" or "attach"', "a boolean"),
        ('{"workspace": "Sales"}', "workspace", '"Sales"', "default, sales", "unknown: the names are told"),
        ('{"workspace": ""}', "workspace", '""', "default, sales", "empty"),
        ('{"workspace": 5}', "workspace", "5", "string", "a number"),
    ],
)
def test_bad_input_is_refused_by_name(
    body: bytes | str, field: str, given: str | None, allowed: str, reason: str
) -> None:
    problem = refused(body)
    assert (problem.field, problem.given) == (field, given), reason
    assert allowed in problem.allowed, reason


def test_all_bad_fields_are_named_together() -> None:
    with pytest.raises(InvalidRequest) as caught:
        start({"full_refresh": 1, "onConflict": "x", "nonsense": 0})
    assert {problem.field for problem in caught.value.problems} == {"full_refresh", "onConflict", "nonsense"}


def test_what_was_given_is_shown_in_one_short_line() -> None:
    problem = refused({"full_refresh": "long\n" * 5000})
    assert problem.given is not None
    assert len(problem.given) < 100
    assert "\n" not in problem.given


@pytest.mark.parametrize(("count", "fine"), [(200, True), (201, False)])
def test_at_most_200_parameters(count: int, fine: bool) -> None:
    body: dict[str, object] = {"parameters": {str(number): number for number in range(count)}}
    if fine:
        assert len(start(body).ignored_parameters) == count
    else:
        assert "200" in refused(body).allowed


def test_a_body_of_64_kb_is_read_and_one_byte_more_is_413() -> None:
    empty = json.dumps({"parameters": {"x": ""}})
    full = json.dumps({"parameters": {"x": "x" * (64 * 1024 - len(empty))}}).encode()
    assert start(full).ignored_parameters == ("x",)
    with pytest.raises(BodyTooLarge, match=r"64 KB, given 65537 bytes") as caught:
        start(full + b" ")
    assert caught.value.http_status == 413


@pytest.mark.parametrize("pipeline_id", ["", "a b", "a/b", "..", "a:b", "x" * 65, "é", "a\n"])
def test_a_pipeline_id_that_is_none_is_refused(pipeline_id: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^pipeline_id: must be 1 to 64 letters, digits") as caught:
        decode_start(make_call(pipeline_id=pipeline_id), WORKSPACES)
    assert caught.value.problems[0].given == json.dumps(pipeline_id, ensure_ascii=False)


# --- the workspace


@pytest.mark.parametrize(
    ("in_query", "in_body", "expected", "reason"),
    [
        (None, None, "default", "the first without a name"),
        ("sales", None, "sales", "the query's"),
        (None, "sales", "sales", "the body's"),
        ("sales", "sales", "sales", "both, and the same"),
    ],
)
def test_the_workspace(in_query: str | None, in_body: str | None, expected: str, reason: str) -> None:
    query = {} if in_query is None else {"workspace": in_query}
    assert start({"workspace": in_body}, query).workspace == expected, reason


def test_two_different_workspaces_are_refused() -> None:
    problem = refused({"workspace": "default"}, {"workspace": "sales"})
    assert (problem.field, problem.given) == ("workspace", '"default"')
    assert '"sales"' in problem.allowed


def test_an_unknown_workspace_in_the_query_is_refused() -> None:
    problem = refused({}, {"workspace": "west"})
    allowed = "must be one of default, sales"
    assert problem == FieldProblem(field="workspace", allowed=allowed, given='"west"', is_unknown=True)


# --- any input

fields = st.sampled_from(["full_refresh", "pipeline_id", "parameters", "onConflict", "workspace"]) | st.text(max_size=9)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=3),
    max_leaves=8,
)


@given(st.binary(max_size=40) | st.dictionaries(fields, values, max_size=4).map(lambda body: json.dumps(body).encode()))
def test_nothing_in_a_body_raises_anything_but_an_error_of_ours(body: bytes) -> None:
    for decode in (start, lambda text: decode_workspace_only(make_call(text), ())):
        try:
            decode(body)
        except PolysyncError as error:
            json.dumps(error.members())


def test_no_depth_of_nesting_is_anything_but_bad_input() -> None:
    for depth in range(900, 1100):
        for body in ("[" * depth + "]" * depth, '{"x":' + "[" * depth + "]" * depth + "}"):
            with pytest.raises(InvalidRequest):
                start(body)


@pytest.mark.parametrize(
    "body",
    [
        '{"\\ud800": 1}',
        '{"full_refresh": "\\udfff"}',
        '"\\ud800"',
        '{"workspace": "\\ud800"}',
        '{"x": ' + "9" * 5000 + "}",
        '{"timeoutMinutes": 1e999}',
        '{"timeoutMinutes": 0.01}',
        '{"timeoutMinutes": 43201}',
        '{"timeoutMinutes": "5"}',
        '{"timeoutMinutes": true}',
        '{"followRetries": "maybe"}',
    ],
)
def test_odd_values_are_bad_input_in_our_own_words(body: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        start(body)
    refused.value.detail.encode()
    assert "sys." not in refused.value.detail


def test_a_top_level_field_named_like_pydantics_mark_is_named() -> None:
    with pytest.raises(InvalidRequest) as refused:
        start('{"[key]": 1}')
    assert refused.value.problems[0].field == "[key]"


def test_the_ignored_names_fit_into_one_column_or_are_refused() -> None:
    names = {"\\" * 125 + f"{number:03d}": 1 for number in range(200)}
    with pytest.raises(InvalidRequest, match="characters together"):
        start(json.dumps({"parameters": names}))


def test_a_body_full_of_unknown_fields_gets_a_short_answer() -> None:
    with pytest.raises(InvalidRequest) as refused:
        start(json.dumps({f"field {number} " + "x" * 50: 1 for number in range(900)}))
    assert len(refused.value.problems) == 20
    assert len(refused.value.detail) < 10_000


def test_time_out_and_retries_are_read() -> None:
    request = start('{"timeoutMinutes": 90.5, "followRetries": "true"}')
    assert (request.timeout_minutes, request.follow_retries) == (90.5, True)
