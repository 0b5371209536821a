"""The fault proxy changes nothing without a fault, and breaks exactly the calls that a fault names."""

from __future__ import annotations

import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest
import requests
from azure.data.tables import TableClient, TransactionOperation

from local.faults import Fault, FaultPlan, FaultProxy, storage_label, workspace_label
from local.workspace import SimulatedWorkspace


@pytest.fixture
def plan() -> FaultPlan:
    return FaultPlan()


@pytest.fixture
def storage(azurite: str, plan: FaultPlan) -> Iterator[FaultProxy]:
    with FaultProxy(_table_url(azurite), plan, name="storage", label=storage_label) as proxy:
        yield proxy


@pytest.fixture
def api(workspace: SimulatedWorkspace, plan: FaultPlan) -> Iterator[FaultProxy]:
    with FaultProxy(workspace.url, plan, name="workspace", label=workspace_label) as proxy:
        yield proxy


def _table_url(connection_string: str) -> str:
    endpoint = connection_string.partition("TableEndpoint=")[2].rstrip(";")
    return endpoint.rpartition("/")[0]


def _start(api: FaultProxy, workspace: SimulatedWorkspace, pipeline_id: str) -> requests.Response:
    return requests.post(
        f"{api.url}/api/2.0/pipelines/{pipeline_id}/updates",
        json={"pipeline_id": pipeline_id, "full_refresh": False},
        headers={"Authorization": f"Bearer {workspace.issue_token()}"},
        timeout=10,
    )


def test_table_storage_accepts_signed_calls_through_the_proxy_and_they_are_named_by_row_kinds(
    azurite: str, storage: FaultProxy, plan: FaultPlan
) -> None:
    through = azurite.replace(_table_url(azurite), storage.url)
    name = f"T{uuid.uuid4().hex}"
    with TableClient.from_connection_string(through, name) as table:
        table.create_table()
        rows = [{"PartitionKey": "w s", "RowKey": f"run|ä:{number}", "text": "ü"} for number in range(3)]
        table.create_entity(rows[0])
        table.submit_transaction([(TransactionOperation.CREATE, row) for row in rows[1:]])
        assert table.get_entity("w s", "run|ä:1")["text"] == "ü"
        query = "PartitionKey eq @partition and RowKey gt @after"
        found = table.query_entities(query, parameters={"partition": "w s", "after": "run|"}, results_per_page=1)
        assert len([*found]) == 3
        table.delete_table()
    assert [call.label for call in plan.calls()] == [
        "POST Tables",
        f"POST {name}(run)",
        "POST $batch run",
        f"GET {name}(run)",
        *[f"GET {name}(run…)"] * 3,
        "DELETE Tables",
    ]


@pytest.mark.parametrize(
    ("fault", "status", "started"),
    [
        (Fault("reset", "before"), None, 0),
        (Fault("reset", "after"), None, 1),
        (Fault("late", seconds=0.1), None, 1),
        (Fault("held"), None, 0),
        (Fault("hang", "before", seconds=0.1), None, 0),
        (Fault("hang", "after", seconds=0.1), None, 1),
        (Fault("half"), None, 1),
        (Fault("status", "before", status=503, body="{}", headers={"Retry-After": "7"}), 503, 0),
        (Fault("status", "after", status=500), 500, 1),
        (Fault("delay", "before", seconds=0.05), 200, 1),
        (Fault("delay", "after", seconds=0.05), 200, 1),
    ],
    ids=lambda value: f"{value.kind} {value.when}" if isinstance(value, Fault) else "",
)
def test_a_fault_is_played_to_the_caller_and_the_upstream_sees_the_call_or_not(
    workspace: SimulatedWorkspace, api: FaultProxy, plan: FaultPlan, fault: Fault, status: int | None, started: int
) -> None:
    pipeline_id = workspace.add_pipeline()
    plan.add(fault)
    if status is None:
        with pytest.raises(requests.RequestException):
            _start(api, workspace, pipeline_id)
    else:
        answer = _start(api, workspace, pipeline_id)
        assert answer.status_code == status
        assert answer.headers.get("Retry-After") == fault.headers.get("Retry-After")
    api.wait_until_idle()
    assert len(workspace.updates_of(pipeline_id)) == started
    (call,) = plan.calls()
    assert (call.upstream, call.label, call.fault) == ("workspace", "POST /pipelines/{id}/updates", fault)


def test_a_held_call_is_executed_at_the_release(
    workspace: SimulatedWorkspace, api: FaultProxy, plan: FaultPlan
) -> None:
    pipeline_id = workspace.add_pipeline()
    plan.add(Fault("held"))
    with pytest.raises(requests.ConnectionError):
        _start(api, workspace, pipeline_id)
    plan.clear()
    api.wait_until_idle()
    assert (plan.is_holding, workspace.updates_of(pipeline_id)) == (True, [])
    plan.release()
    api.wait_until_idle()
    assert (plan.is_holding, len(workspace.updates_of(pipeline_id))) == (False, 1)


def test_a_call_that_hangs_is_over_when_its_caller_gives_up(api: FaultProxy, plan: FaultPlan) -> None:
    plan.add(Fault("hang", seconds=60))
    with pytest.raises(requests.ReadTimeout):
        requests.get(api.url, timeout=0.1)
    api.wait_until_idle(5)


def test_a_fault_counts_the_calls_that_match_its_label(
    workspace: SimulatedWorkspace, api: FaultProxy, plan: FaultPlan
) -> None:
    plan.add(Fault("status", status=418, label="POST */updates", after=1, times=2))
    seen = [_start(api, workspace, workspace.add_pipeline()).status_code for _ in range(4)]
    assert seen == [200, 418, 418, 200]


def test_after_a_fault_that_kills_nothing_gets_through_any_upstream_until_up(
    workspace: SimulatedWorkspace, api: FaultProxy, storage: FaultProxy, plan: FaultPlan
) -> None:
    pipeline_id = workspace.add_pipeline()
    plan.add(Fault("reset", "after", label="POST */updates", then_down=True))
    for url in (api.url, storage.url):
        with pytest.raises(requests.ConnectionError):
            _start(api, workspace, pipeline_id)
        with pytest.raises(requests.ConnectionError):
            requests.get(url, timeout=10)
    assert len(workspace.updates_of(pipeline_id)) == 1
    plan.up()
    assert _start(api, workspace, pipeline_id).status_code == 409


def test_random_faults_come_at_their_rate_and_only_to_their_upstream(plan: FaultPlan) -> None:
    here, there = Fault("reset", upstream="here"), Fault("half", upstream="there")
    plan.at_random(0.1, [here, there], seed=1)
    met = [plan.meet("here", "GET /") for _ in range(2000)]
    assert {fault for fault in met if fault is not None} == {here}
    assert 150 < len([fault for fault in met if fault is not None]) < 250
    plan.clear()
    assert plan.meet("here", "GET /") is None


def test_a_call_whose_caller_goes_in_the_middle_of_it_goes_no_further(
    workspace: SimulatedWorkspace, api: FaultProxy, plan: FaultPlan
) -> None:
    with socket.create_connection(("127.0.0.1", api.port)) as caller:
        caller.sendall(b"POST /api/2.0/pipelines/x/updates HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
    api.wait_until_idle()
    assert plan.calls() == []
    assert workspace.calls() == []


def test_only_the_loopback_address_is_proxied(plan: FaultPlan) -> None:
    with pytest.raises(ValueError, match="loopback"):
        FaultProxy("http://example.com:80", plan)


def test_the_command_line_proxies_and_prints_what_came_through(workspace: SimulatedWorkspace) -> None:
    command = [sys.executable, "-m", "local.faults", "--upstream", workspace.url, "--kind", "workspace"]
    command += ["--fault", '{"kind": "status", "status": 418, "label": "GET /pipelines"}']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        url = running.stdout.readline().split()[0]
        assert requests.get(f"{url}/api/2.0/pipelines", timeout=10).status_code == 418
        running.terminate()
        assert running.stdout.read() == "GET /pipelines  <- status before\n"
