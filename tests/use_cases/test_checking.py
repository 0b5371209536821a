"""Health: a line for each dependency, and nothing in it that anybody may not read."""

from __future__ import annotations

from typing import Any

import pytest
from azure.data.tables import TableClient

from local.rig import ManualClock, Rig
from local.seeding import put_row
from local.workspace import SimulatedWorkspace
from polysync_core.services import RUNS_TABLE
from polysync_core.use_cases import checking
from polysync_core.values.run import Check


def _checks(rig: Rig, notes: tuple[str, ...] = ()) -> dict[str, Check]:
    services = rig.services
    checks = checking.check_all([*services.workspaces.values()], services.tokens, notes)
    return {check.name: check for check in checks}


def test_a_healthy_app_has_a_line_for_each_dependency(rig: Rig) -> None:
    checks = _checks(rig)
    assert list(checks) == ["settings", "storage", "token", f"workspace {rig.name}", f"sweep {rig.name}"]
    assert all(check.ok for check in checks.values())
    assert checks[f"sweep {rig.name}"].message == "none yet", "no sweep yet is fine"


def test_an_old_sweep_is_unhealthy_only_beside_active_runs(
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


def test_rows_that_cannot_be_read_are_counted_and_their_pipelines_named(rig: Rig) -> None:
    put_row(rig, "active|garbage:row", {})
    rig.sweep()
    check = _checks(rig)[f"sweep {rig.name}"]
    assert not check.ok
    assert check.message.endswith("1 rows cannot be read (pipelines: garbage); see the log")


def test_what_databricks_says_stays_out_but_the_remedy_is_told(rig: Rig, workspace: SimulatedWorkspace) -> None:
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


def test_no_token_is_told_with_the_remedy(rig: Rig, workspace: SimulatedWorkspace) -> None:
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
        table.upsert_entity({"PartitionKey": rig.name, "RowKey": "sweep|last", "sweptAt": "soon"})
    assert _checks(rig)[f"sweep {rig.name}"].message == "none yet"
    rig.sweep()
    assert rig.ws.runs.last_sweep() is not None


def test_a_workspace_that_nobody_could_look_at_for_five_minutes_is_unhealthy(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    rig.start(workspace.add_pipeline())
    workspace.down()
    for _ in range(21):
        rig.sweep()
        clock.pass_time(seconds=15)
    checks = checking.check_all([rig.ws], rig.services.tokens, ())
    assert {check.name: check.ok for check in checks}[f"sweep {rig.name}"] is False
    workspace.up()
    rig.sweep()
    checks = checking.check_all([rig.ws], rig.services.tokens, ())
    assert all(check.ok for check in checks)
