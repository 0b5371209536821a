"""An identity endpoint that is not ready yet, and an `az` that is slow."""

from __future__ import annotations

import os
import stat
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from azure.identity import AzureCliCredential

from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.databricks.entra import EntraTokens, build_credential
from polysync_core.rules.decisions import budgets
from polysync_core.values.databricks_errors import TokenUnavailable

TOKEN = "/msi/token"


@pytest.mark.parametrize(
    "fault",
    [{"kind": "status", "status": 500}, {"kind": "status", "status": 429}, {"kind": "reset"}],
    ids=["500", "429", "no connection"],
)
def test_a_start_waits_for_an_identity_endpoint_that_is_not_ready(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, fault: dict[str, Any]
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault(**fault, route=TOKEN, times=5)
    began_at = clock.monotonic()
    run_id = rig.start(pipeline_id).run.run_id
    assert [update.update_id for update in workspace.updates_of(pipeline_id)] == [run_id.update_id]
    assert 1 <= clock.monotonic() - began_at < budgets.START_LAST_POST


def test_an_endpoint_that_never_is_ready_costs_a_start_its_15_seconds_and_says_when_to_repeat(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("status", status=500, route=TOKEN, times=None)
    began_at = clock.monotonic()
    with pytest.raises(TokenUnavailable, match="managed identity") as refused:
        rig.start(pipeline_id, key="k")
    assert (refused.value.http_status, refused.value.retry_after_seconds) == (503, 30)
    assert 5 <= clock.monotonic() - began_at <= budgets.START_LAST_POST
    workspace.clear_faults()
    assert rig.start(pipeline_id, key="k").run.run_id.pipeline_id == pipeline_id, "nothing is held"


@pytest.fixture
def runs_of_az(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a fake `az` the only source of tokens. A token takes it AZ_SECONDS.

    Returns a file that gets one character for each run of `az`.
    """
    runs = tmp_path / "runs"
    answer = '{"accessToken": "token", "expires_on": 4102444800, "expiresOn": "2100-01-01 00:00:00.000000"}'
    script = f"""\
        #!/bin/sh
        printf x >> {runs}
        sleep "$AZ_SECONDS"
        echo '{answer}'
    """
    az = tmp_path / "az"
    az.write_text(textwrap.dedent(script))
    az.chmod(az.stat().st_mode | stat.S_IXUSR)
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_CLIENT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("AZ_SECONDS", "0.3")
    return runs


def test_az_runs_once_for_all_callers_of_a_token(runs_of_az: Path, clock: ManualClock) -> None:
    tokens = EntraTokens(lambda: build_credential(os.environ), clock)
    with ThreadPoolExecutor(24) as pool:
        assert set(pool.map(lambda _: tokens.token(), range(24))) == {"token"}
    assert tokens.token() == "token"
    assert runs_of_az.read_text() == "x"


def test_an_az_that_is_slow_is_named_as_such(
    runs_of_az: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZ_SECONDS", "3")
    with pytest.raises(TokenUnavailable, match="The Azure CLI was slow"):
        EntraTokens(lambda: AzureCliCredential(process_timeout=1), clock).token()
    assert runs_of_az.read_text() == "x"
