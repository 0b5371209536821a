"""Endpoints on the wired core: the addresses in a response work."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core.endpoints import run_endpoints
from polysync_core.rules.wire.http_contract import Call


def _get(address: str, run_id: str) -> Call:
    return Call(method="GET", url=address, query=dict(parse_qsl(urlsplit(address).query)), route={"run_id": run_id})


def test_with_two_workspaces_the_addresses_of_a_run_name_its_workspace_and_lead_to_it(
    azurite: str, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    with SimulatedWorkspace() as other:
        rig = Rig(azurite, {"other": other.url, "sales": workspace.url}, workspace, clock)
        pipeline_id = workspace.add_pipeline()
        start = Call(
            method="POST",
            url="https://sync.example.com/api/pipelines/x/updates",
            route={"pipeline_id": pipeline_id},
            body=b'{"workspace": "sales"}',
        )
        started = run_endpoints.start_update(start, rig.services)
        run_id = str(started.body["runId"])
        for name in ("statusUrl", "cancelUrl", "resultUrl"):
            assert str(started.body[name]).endswith("workspace=sales"), name
        assert run_endpoints.get_run(_get(str(started.body["statusUrl"]), run_id), rig.services).status == 200
        awaited = run_endpoints.await_run(_get(str(started.body["resultUrl"]), run_id), rig.services)
        assert (awaited.status, awaited.headers["Location"]) == (202, started.body["resultUrl"])
        without = _get(str(started.body["statusUrl"]).partition("?")[0], run_id)
        assert run_endpoints.get_run(without, rig.services).body["workspace"] == "sales"


def test_a_workspace_that_is_renamed_keeps_its_runs_and_another_app_s_are_never_met(
    azurite: str, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    with SimulatedWorkspace() as elsewhere:
        before = Rig(azurite, {"default": workspace.url}, workspace, clock)
        run_id = before.start(workspace.add_pipeline()).run.run_id
        renamed = Rig(azurite, {"sales": workspace.url}, workspace, clock)
        document = run_endpoints.get_run(_get("https://sync.example.com/api/runs/x", str(run_id)), renamed.services)
        assert document.body["workspace"] == "sales"
        strangers = Rig(azurite, {"default": elsewhere.url}, elsewhere, clock)
        assert strangers.active_ids() == set()
        clock.pass_time(hours=3)
        strangers.sweep()
        assert not before.stored(run_id).is_finished
