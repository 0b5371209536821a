"""The mission's status table, row by row. If a row changes in the code, the test with its name fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.rules.decisions.run_states import (
    FINISHED_STATUSES,
    SENTENCES,
    STATUS_OF_STATE,
    is_final,
    sentence_of,
    status_of,
)
from polysync_core.values.run import Status

MISSION_TABLE = {
    "RUNNING": "Running",
    "STOPPING": "Running",
    "COMPLETED": "Success",
    "FAILED": "Failed",
    "CANCELED": "Cancelled",
}
OTHERS = ("QUEUED", "CREATED", "WAITING_FOR_RESOURCES", "INITIALIZING", "RESETTING", "SETTING_UP_TABLES")
FINAL = {"COMPLETED", "FAILED", "CANCELED"}


@pytest.mark.parametrize(("state", "status"), MISSION_TABLE.items())
def test_status_table_row(state: str, status: str) -> None:
    assert status_of(state).value == status


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        *((state, "a known state that the table does not name") for state in OTHERS),
        ("RESYNCING", "a state newer than this code"),
        ("CANCELLED", "two Ls: no state of Databricks"),
        ("Running", "our word, not Databricks'"),
        ("completed", "another case"),
        (" COMPLETED", "not the exact word"),
        ("IDLE", "a state of the pipeline, not of an update"),
        ("", "empty"),
        (None, "missing"),
    ],
)
def test_status_table_other_or_missing_is_unknown(state: str | None, reason: str) -> None:
    assert status_of(state) is Status.UNKNOWN, reason


def test_status_table_has_no_further_row() -> None:
    assert {state: status.value for state, status in STATUS_OF_STATE.items()} == MISSION_TABLE


@given(st.text(max_size=30).filter(lambda state: state not in MISSION_TABLE))
def test_every_text_outside_the_table_is_unknown_and_not_final(state: str) -> None:
    assert status_of(state) is Status.UNKNOWN
    assert not is_final(state)


def test_finished_are_success_failed_and_cancelled_only() -> None:
    assert {status.value for status in FINISHED_STATUSES} == {"Success", "Failed", "Cancelled"}


@pytest.mark.parametrize("state", [*MISSION_TABLE, *OTHERS, "RESYNCING", None])
def test_only_completed_failed_and_canceled_are_final(state: str | None) -> None:
    assert is_final(state) is (state in FINAL)


SAYS = {
    "QUEUED": "queued",
    "CREATED": "created",
    "WAITING_FOR_RESOURCES": "waiting for compute",
    "INITIALIZING": "initializing",
    "RESETTING": "full refresh",
    "SETTING_UP_TABLES": "tables",
    "RUNNING": "running",
    "STOPPING": "micro-batches",
    "COMPLETED": "completed",
    "FAILED": "failed",
    "CANCELED": "cancelled",
}


@pytest.mark.parametrize(("state", "word"), SAYS.items())
def test_every_known_state_has_a_plain_sentence(state: str, word: str) -> None:
    sentence = sentence_of(state)
    assert word in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert state not in sentence, "plain words, not Databricks' constant"


def test_the_sentences_are_all_different_and_for_the_known_states_only() -> None:
    assert set(SENTENCES) == set(SAYS)
    assert len(set(SENTENCES.values())) == len(SAYS)


def test_an_unknown_state_is_named_in_its_sentence() -> None:
    assert "RESYNCING" in sentence_of("RESYNCING")
    assert "keeps watching" in sentence_of("RESYNCING")


def test_a_missing_state_has_a_sentence_too() -> None:
    assert sentence_of(None) == "Databricks accepted the update but has not reported its state yet."


@pytest.mark.parametrize("table", [STATUS_OF_STATE, SENTENCES])
def test_the_tables_cannot_be_changed_at_run_time(table: object) -> None:
    with pytest.raises(TypeError):
        table["RUNNING"] = Status.SUCCESS  # type: ignore[index]
