"""Health: one entry for each dependency, and nothing that must stay secret."""

from __future__ import annotations

from typing import Any

import pytest
from azure.data.tables import TableClient, UpdateMode

from local.entra import SimulatedEntra
from local.receiver import Receiver
from local.rig import ManualClock, Rig
from local.seeding import put_row
from local.workspace import SimulatedWorkspace
from polysync_core import __version__
from polysync_core.adapters.entra_callers import EntraCallers
from polysync_core.services import RUNS_TABLE
from polysync_core.use_cases import checking
from polysync_core.values.caller import EntraDoor
from polysync_core.values.run import Check, LastSweep
from tests.conftest import RigOf


def _checks(rig: Rig, notes: tuple[str, ...] = ()) -> dict[str, Check]:
    services = rig.services
    checks = checking.check_all([*services.workspaces.values()], services.tokens, notes).checks
    return {check.name: check for check in checks}


def test_a_healthy_app_has_a_line_for_each_dependency(rig: Rig) -> None:
    checks = _checks(rig)
    assert list(checks) == ["settings", "storage", "token", f"workspace {rig.name}", f"sweep {rig.name}"]
    assert all(check.ok for check in checks.values())
    assert checks[f"sweep {rig.name}"].message == "none yet", "no sweep yet is fine"


def test_an_old_sweep_is_unhealthy_only_while_runs_are_active(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    rig.sweep()
    clock.pass_time(minutes=6)
    assert _checks(rig)[f"sweep {rig.name}"].ok
    rig.start(workspace.add_pipeline())
    assert not _checks(rig)[f"sweep {rig.name}"].ok
    rig.sweep()
    clock.pass_time(minutes=5)
    assert _checks(rig)[f"sweep {rig.name}"].ok


def test_where_no_timer_ever_fires_health_says_which_and_what_to_do(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    rig.start(workspace.add_pipeline())
    assert _checks(rig)[f"sweep {rig.name}"].ok, "a sweep may still come"
    clock.pass_time(minutes=6)
    check = _checks(rig)[f"sweep {rig.name}"]
    assert not check.ok
    assert "the timer sweep_runs does not fire. Synchronise the triggers" in check.message


def test_a_callback_that_is_due_for_long_is_unhealthy(
    rig_of: RigOf, receiver: Receiver, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    rig = rig_of(receiver)
    pipeline_id = workspace.add_pipeline()
    rig.start(pipeline_id, {"callbackUrl": receiver.url()})
    workspace.set_state(pipeline_id, None, "COMPLETED")
    rig.sweep()
    assert _checks(rig)[f"sweep {rig.name}"].ok
    clock.pass_time(minutes=6)
    check = _checks(rig)[f"sweep {rig.name}"]
    assert not check.ok
    assert "the timer deliver_callbacks does not fire" in check.message


def test_rows_that_cannot_be_read_are_counted_and_their_pipelines_named(rig: Rig) -> None:
    put_row(rig, "active|garbage:row", {})
    rig.sweep()
    check = _checks(rig)[f"sweep {rig.name}"]
    assert not check.ok
    assert check.message.endswith("1 rows cannot be read (pipelines: garbage); see the log")


def test_where_callers_sign_in_no_message_names_a_run_or_a_pipeline(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = rig.start(workspace.add_pipeline()).run.run_id
    rig.sweep()
    workspace.add_fault("status", method="GET", times=None, status=403, message="no permission")
    clock.pass_time(hours=2)
    rig.sweep()
    with SimulatedEntra() as entra:
        door = EntraDoor(tenant=entra.tenant, audience=entra.audience, authority=entra.url, denied=frozenset())
        checks = checking.check_all([rig.ws], rig.services.tokens, (), EntraCallers(door, clock)).checks
        told = " ".join(check.message for check in checks)
        assert "Databricks does not show some active runs" in told
        assert run_id.pipeline_id not in told
        assert str(run_id) in caplog.text, "the log names it"
        put_row(rig, "active|garbage:row", {})
        rig.sweep()
        checks = checking.check_all([rig.ws], rig.services.tokens, (), EntraCallers(door, clock)).checks
    assert checks[-1].message.endswith("1 rows cannot be read; see the log")


def test_databricks_message_is_left_out_but_the_remedy_is_shown(rig: Rig, workspace: SimulatedWorkspace) -> None:
    workspace.add_fault("status", method="GET", status=403, message="User someone@example.com may not", times=None)
    check = _checks(rig)[f"workspace {rig.name}"]
    assert not check.ok
    assert "someone" not in check.message
    assert "Can Run" in check.message


@pytest.mark.parametrize(
    ("answer", "remedy"),
    [
        ({"status": 400, "body": "Invalid Token"}, "wrong tenant"),
        ({"status": 403, "message": "Source IP address: 1.2.3.4 is blocked by Databricks IP ACL"}, "VNet integration"),
        ({"status": 200, "body": "<html><title>Sign In</title></html>"}, "own address"),
    ],
    ids=["token", "network", "sign-in page"],
)
def test_each_kind_of_refusal_has_its_own_remedy(
    rig: Rig, workspace: SimulatedWorkspace, answer: dict[str, Any], remedy: str
) -> None:
    workspace.add_fault("status", method="GET", times=None, **answer)
    message = _checks(rig)[f"workspace {rig.name}"].message
    assert remedy in message
    assert "Can Run" not in message


def test_a_workspace_that_is_down_fails_its_own_line_only(rig: Rig, workspace: SimulatedWorkspace) -> None:
    workspace.down()
    failing = [check.name for check in _checks(rig).values() if not check.ok]
    assert failing == [f"workspace {rig.name}"]


def test_a_missing_token_is_reported_with_the_remedy(rig: Rig, workspace: SimulatedWorkspace) -> None:
    workspace.add_fault("status", route="/msi/token", status=400, times=None)
    check = _checks(rig)["token"]
    assert not check.ok
    assert "managed identity" in check.message


def test_a_note_on_the_settings_fails_their_line(rig: Rig) -> None:
    check = _checks(rig, ("POLYSYNC_SWEEP_SCHEDULE is odd.",))["settings"]
    assert (check.ok, check.message) == (False, "POLYSYNC_SWEEP_SCHEDULE is odd.")


def test_the_last_sweep_survives_a_unreadable_row(rig: Rig) -> None:
    rig.sweep()
    connection = rig.settings.tables.connection_string
    assert connection is not None
    with TableClient.from_connection_string(connection, RUNS_TABLE) as table:
        table.upsert_entity({"PartitionKey": rig.partition, "RowKey": "sweep|last", "sweptAt": "soon"})
    assert _checks(rig)[f"sweep {rig.name}"].message == "none yet"
    rig.sweep()
    assert rig.ws.runs.last_sweep() is not None


def test_a_workspace_without_an_observation_for_five_minutes_is_unhealthy(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    rig.start(workspace.add_pipeline())
    workspace.down()
    for _ in range(21):
        rig.sweep()
        clock.pass_time(seconds=15)
    checks = checking.check_all([rig.ws], rig.services.tokens, ()).checks
    assert {check.name: check.ok for check in checks}[f"sweep {rig.name}"] is False
    workspace.up()
    rig.sweep()
    checks = checking.check_all([rig.ws], rig.services.tokens, ()).checks
    assert all(check.ok for check in checks)


def test_the_last_sweep_of_each_workspace_is_told_with_the_version_that_made_it(rig: Rig) -> None:
    def last_sweep() -> LastSweep | None:
        return checking.check_all([rig.ws], rig.services.tokens, ()).last_sweeps[rig.name]

    assert last_sweep() is None, "none yet"
    rig.sweep()
    last = last_sweep()
    assert last is not None
    assert (last.swept_at, last.version) == (rig.clock.now(), __version__)
    connection = rig.settings.tables.connection_string
    assert connection is not None
    with TableClient.from_connection_string(connection, RUNS_TABLE) as table:
        row = table.get_entity(rig.partition, "sweep|last")
        del row["version"]
        table.update_entity(row, mode=UpdateMode.REPLACE)
    last = last_sweep()
    assert last is not None
    assert last.version is None, "a sweep before 1.0.0"
