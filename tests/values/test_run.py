"""Ids: only text that is safe in a path and in a row key is an id. A printed run id can be parsed again."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.values.ids import RunId, is_id
from polysync_core.values.run import Attempt, OnConflict, StartRequest, Status
from tests.rules.examples import NOW, ids, make_run, run_ids


@pytest.mark.parametrize(
    ("text", "expected", "reason"),
    [
        ("8279d543-063c-4d63-9926-dae38e35ce8b", True, "the UUID of the workflow document"),
        ("a", True, "the shortest"),
        ("a" * 64, True, "the longest"),
        ("A_b-9", True, "letters of both cases, digits, '-' and '_'"),
        ("", False, "empty"),
        ("a" * 65, False, "one too many"),
        ("a:b", False, "the colon parts a run id"),
        ("a/b", False, "a slash would change the path"),
        ("..", False, "dots would climb the path"),
        ("a?b", False, "a query"),
        ("a#b", False, "a fragment"),
        ("a%2Fb", False, "an escaped slash"),
        ("a b", False, "a space"),
        ("a\n", False, "a line end at the end"),
        ("\na", False, "a line end at the beginning"),
        ("é", False, "a letter beyond ASCII"),
        ("٣", False, "a digit beyond ASCII"),
        ("a\x00", False, "a control character"),
        ("a|b", False, "the bar parts row keys"),
        ("a'b", False, "a quote would end a storage filter"),
    ],
)
def test_an_id_is_1_to_64_letters_digits_dashes_underscores(text: str, expected: bool, reason: str) -> None:
    assert is_id(text) is expected, reason


def test_a_run_id_is_printed_as_the_mission_writes_it() -> None:
    assert str(RunId("8279d543-063c", "27bc77-1")) == "8279d543-063c:27bc77-1"


@given(run_ids)
def test_a_printed_run_id_is_read_back_as_itself(run_id: RunId) -> None:
    assert RunId.parse(str(run_id)) == run_id


@given(st.text(max_size=140))
def test_a_text_is_read_as_a_run_id_only_if_it_prints_the_same(text: str) -> None:
    try:
        run_id = RunId.parse(text)
    except ValueError:
        return
    assert str(run_id) == text
    assert is_id(run_id.pipeline_id)
    assert is_id(run_id.update_id)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("p", "no update id"),
        ("p:", "an empty update id"),
        (":u", "an empty pipeline id"),
        (":", "both empty"),
        ("p:u:v", "three parts"),
        ("p:u\n", "a line end"),
        ("p/q:u", "a slash"),
        (f"p:{'u' * 65}", "an update id too long"),
    ],
)
def test_a_malformed_run_id_is_refused_with_what_one_looks_like(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"\{pipeline_id\}:\{update_id\}"):
        RunId.parse(text)


@given(ids, st.text(max_size=5).filter(lambda text: not is_id(text)))
def test_a_run_id_cannot_even_be_made_of_anything_else(good: str, bad: str) -> None:
    for parts in ((good, bad), (bad, good)):
        with pytest.raises(ValueError, match="a run id is"):
            RunId(*parts)


def test_the_five_status_words_are_the_missions() -> None:
    assert [status.value for status in Status] == ["Running", "Success", "Failed", "Cancelled", "Unknown"]


def test_a_start_fails_on_conflict_by_default() -> None:
    assert StartRequest(workspace="w", pipeline_id="p").on_conflict is OnConflict.FAIL


def test_an_idempotency_key_is_not_printed_with_its_request() -> None:
    assert "hush" not in repr(StartRequest(workspace="w", pipeline_id="p", idempotency_key="hush"))


def test_the_state_of_a_run_is_that_of_its_last_attempt() -> None:
    retried = make_run(
        attempts=(Attempt(update_id="u1", state="FAILED"), Attempt(update_id="u2", state="RUNNING")),
    )
    assert retried.state == "RUNNING"
    assert retried.current_id == RunId("p1", "u2")
    assert retried.run_id == RunId("p1", "u1"), "its own id stays the first attempt's"


def test_a_run_is_finished_exactly_when_the_finish_was_written_down() -> None:
    assert not make_run(state="COMPLETED").is_finished
    assert make_run(state="COMPLETED", finished_at=NOW).is_finished


def test_values_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        make_run().attached = True  # type: ignore[misc]
