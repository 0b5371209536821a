"""Example values for the tests of this folder, and hypothesis strategies for ids and runs."""

from __future__ import annotations

import string
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import strategies as st

from polysync_core.rules.wire.http_contract import Call
from polysync_core.settings import Settings
from polysync_core.values.errors import SettingsError
from polysync_core.values.ids import RunId
from polysync_core.values.run import Attempt, Run, RunError
from polysync_core.values.start_options import StartOptions

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
BEFORE = NOW - timedelta(minutes=5)
HOST = "https://adb-1.7.azuredatabricks.net"
PIPELINE = "8279d543-063c-4d63-9926-dae38e35ce8b"


def make_run(*, run_id: RunId | None = None, state: str | None = "RUNNING", **fields: Any) -> Run:
    """A run that was accepted and last observed five minutes before NOW. By default it has one attempt in `state`."""
    run_id = run_id or RunId("p1", "u1")
    known: dict[str, Any] = {
        "run_id": run_id,
        "full_refresh": False,
        "accepted_at": BEFORE,
        "seen_at": BEFORE,
        "updated_at": BEFORE,
        "started_at": BEFORE,
        "attempts": (Attempt(update_id=run_id.update_id, state=state, cause="API_CALL", created_at=BEFORE),),
    }
    return Run(**(known | fields))


def make_call(
    body: bytes | str = b"",
    *,
    pipeline_id: str = PIPELINE,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    url: str = "https://app.example.net/api/x",
) -> Call:
    return Call(
        method="POST",
        url=url,
        route={"pipeline_id": pipeline_id},
        headers=headers or {},
        query=query or {},
        body=body.encode() if isinstance(body, str) else body,
    )


def read_settings(**environ: str) -> Settings:
    """Read settings from the required minimum and `environ`. A blank value counts as not set."""
    return Settings.from_environ({"DATABRICKS_HOST": HOST, "POLYSYNC_TABLES": "UseDevelopmentStorage=true"} | environ)


def setting_problems(**environ: str) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        read_settings(**environ)
    return caught.value.problems


def setting_problem(**environ: str) -> str:
    (only,) = setting_problems(**environ)
    return only


ids = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=64)
run_ids = st.builds(RunId, ids, ids)
instants = st.timedeltas(timedelta(days=-9000), timedelta(days=9000)).map(lambda apart: NOW + apart)
words = st.text(st.characters(codec="utf-8"), max_size=20)
attempts = st.builds(
    Attempt,
    update_id=ids,
    state=st.none() | words,
    cause=st.none() | words,
    created_at=st.none() | instants,
)
selections = st.lists(words, max_size=3).map(tuple)
options = st.builds(
    StartOptions,
    refresh_selection=selections,
    full_refresh_selection=selections,
    reset_checkpoint_selection=selections,
    validate_only=st.booleans(),
)
runs = st.builds(
    Run,
    run_id=run_ids,
    full_refresh=st.none() | st.booleans(),
    accepted_at=instants,
    seen_at=instants,
    updated_at=instants,
    attempts=st.lists(attempts, min_size=1, max_size=4).map(tuple),
    pipeline_name=st.none() | words,
    options=options,
    ignored_parameters=st.lists(words, max_size=4).map(tuple),
    started_at=st.none() | instants,
    finished_at=st.none() | instants,
    missing_since=st.none() | instants,
    cancel_requested_at=st.none() | instants,
    attached=st.booleans(),
    error=st.none() | st.builds(RunError, code=words, message=words),
)
