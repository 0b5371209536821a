"""A timer function raises if its work failed as a whole, so that the host counts a failed invocation."""

from __future__ import annotations

import json
import logging
import re
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.host import LocalHost
from local.loopback import unused_host
from local.workspace import SimulatedWorkspace
from polysync_core import services
from polysync_core.endpoints.answering import on_message
from polysync_core.values.errors import AllWorkspacesFailed, PolysyncError, SettingsError
from polysync_core.values.ids import RunId
from polysync_core.values.invocation import NO_INVOCATION
from tests.chaos.host_process import HostProcess
from tests.functions.app import ROOT, environment
from tests.functions.secrecy import check_told
from tests.rules.examples import make_run

TIMERS = ("sweep_runs", "deliver_callbacks", "discover_on_schedule")
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoMGGw=="
Pair = tuple[SimulatedWorkspace, SimulatedWorkspace]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two workspaces of one tenant."""
    with SimulatedWorkspace() as west, SimulatedWorkspace(issuer=west.issuer) as east:
        yield west, east


def _settings(tables: str, pair: Pair, **settings: str) -> dict[str, str]:
    west, east = pair
    identity = west.environ()
    del identity["DATABRICKS_HOST"]
    urls = {"west": {"url": west.url}, "east": {"url": east.url}}
    return {**identity, "POLYSYNC_TABLES": tables, "POLYSYNC_WORKSPACES": json.dumps(urls), **settings}


@contextmanager
def _hosted(settings: dict[str, str]) -> Iterator[LocalHost]:
    with environment(settings), LocalHost(ROOT, timers=False) as host:
        yield host


def _track(pair: Pair) -> None:
    """Put an active run of a new update into each workspace's rows."""
    for name, workspace in zip(("west", "east"), pair, strict=True):
        pipeline_id = workspace.add_pipeline()
        run_id = RunId(pipeline_id, workspace.start_elsewhere(pipeline_id))
        run = make_run(run_id=run_id, state="RUNNING", accepted_at=datetime.now(UTC), finished_at=None)
        assert services.current().at(name).runs.insert(run, ())


def _nowhere() -> str:
    """A connection string of storage that nobody serves."""
    return f"AccountName=a;AccountKey={ACCOUNT_KEY};TableEndpoint=http://{unused_host()}:9/a"


def _cut_off(*workspaces: SimulatedWorkspace) -> None:
    for workspace in workspaces:
        workspace.add_fault("reset", times=None)


def _lines(caplog: pytest.LogCaptureFixture, name: str) -> list[str]:
    """The lines about a whole invocation."""
    found = [record.getMessage() for record in caplog.records if record.name == "polysync.http"]
    return [line for line in found if line.startswith(f"{name}: ")]


def _check_raised(raised: PolysyncError, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """Assert that the error was logged once, and that neither the log nor the error's trace holds a secret."""
    assert _lines(caplog, name) == [f"{name}: {raised.detail}"]
    trace = "".join(traceback.format_exception(raised))
    shown = "\n".join(line for line in trace.splitlines() if not line.lstrip().startswith(("File", "Traceback")))
    check_told(caplog.text + shown)
    assert "TableEndpoint" not in trace
    assert ":9/a" not in trace
    assert "direct cause" not in trace
    assert "During handling" not in trace


@pytest.mark.parametrize("name", TIMERS)
def test_wrong_settings_fail_every_timer(name: str, caplog: pytest.LogCaptureFixture) -> None:
    with _hosted({"POLYSYNC_RETENTION_DAYS": "soon"}) as host, pytest.raises(SettingsError) as told:
        host.fire(name)
    _check_raised(told.value, name, caplog)
    assert "POLYSYNC_RETENTION_DAYS" in told.value.detail


@pytest.mark.parametrize("name", TIMERS)
def test_storage_that_is_away_fails_every_timer(name: str, pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    with _hosted(_settings(_nowhere(), pair)) as host, pytest.raises(PolysyncError) as told:
        host.fire(name)
    _check_raised(told.value, name, caplog)
    assert told.value.http_status == 503


@pytest.mark.parametrize("name", ["sweep_runs", "discover_on_schedule"])
def test_no_workspace_that_answers_fails_what_asks_databricks(
    name: str, azurite: str, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    with _hosted(_settings(azurite, pair)) as host:
        _track(pair)
        _cut_off(*pair)
        with pytest.raises(AllWorkspacesFailed) as told:
            host.fire(name)
        _check_raised(told.value, name, caplog)
        assert "east: " in told.value.detail
        assert "west: " in told.value.detail
        host.fire("deliver_callbacks")


def test_no_token_fails_a_sweep(azurite: str, pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    nobody = f"http://{unused_host()}:9/token"
    with _hosted(_settings(azurite, pair, IDENTITY_ENDPOINT=nobody)) as host:
        _track(pair)
        with pytest.raises(AllWorkspacesFailed) as told:
            host.fire("sweep_runs")
    _check_raised(told.value, "sweep_runs", caplog)
    assert nobody not in caplog.text


@pytest.mark.parametrize("name", ["sweep_runs", "discover_on_schedule"])
def test_one_workspace_that_answers_is_enough(
    name: str, azurite: str, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    with _hosted(_settings(azurite, pair)) as host:
        _track(pair)
        _cut_off(pair[1])
        host.fire(name)
    assert _lines(caplog, name) == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING], "the other one is in the log"


def test_a_sweep_with_nothing_to_ask_does_not_fail(azurite: str, pair: Pair) -> None:
    with _hosted(_settings(azurite, pair)) as host:
        _cut_off(*pair)
        host.fire("sweep_runs")
        assert [len(workspace.calls()) for workspace in pair] == [0, 0]


def test_the_schedule_goes_on_after_failed_invocations(azurite: str, pair: Pair, tmp_path: Path) -> None:
    settings = _settings(azurite, pair, POLYSYNC_SWEEP_SCHEDULE="* * * * * *")
    with environment(settings):
        _track(pair)
    _cut_off(*pair)
    log = tmp_path / "log"
    host = HostProcess(settings, log)
    try:
        host.start()
        _wait_for(lambda: len(re.findall(r"sweep_runs failed \d+ ms", log.read_text())) >= 2)
        for workspace in pair:
            workspace.clear_faults()
        _wait_for(lambda: "sweep_runs succeeded" in log.read_text())
    finally:
        host.kill()


@pytest.mark.parametrize("error", [SettingsError(["X: is missing."]), RuntimeError("a bug")], ids=repr)
def test_a_message_never_fails(error: Exception, azurite: str, pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    def work(_: services.Services) -> None:
        raise error

    with environment(_settings(azurite, pair)):
        on_message("sweep_group", work, NO_INVOCATION)
    assert len(_lines(caplog, "sweep_group")) == 1


def _wait_for(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < give_up_at, "not in time"
        time.sleep(0.05)
