"""databricks-sdk as an independent client of the simulated workspace."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import BadRequest, NotFound, PermissionDenied, ResourceConflict, Unauthenticated
from databricks.sdk.service.pipelines import (
    EventLevel,
    PipelineState,
    StartUpdateCause,
    UpdateInfoCause,
    UpdateInfoState,
)

from local.workspace import SimulatedWorkspace


@pytest.fixture
def workspace() -> Iterator[SimulatedWorkspace]:
    with SimulatedWorkspace() as simulated:
        yield simulated


@pytest.fixture
def client(workspace: SimulatedWorkspace) -> WorkspaceClient:
    return WorkspaceClient(host=workspace.url, token=workspace.issue_token(), auth_type="pat")


def test_a_start_is_followed_from_start_to_end(workspace: SimulatedWorkspace, client: WorkspaceClient) -> None:
    pipeline_id = workspace.add_pipeline(name="orders")
    update_id = client.pipelines.start_update(pipeline_id, full_refresh=True).update_id
    assert update_id is not None
    update = client.pipelines.get_update(pipeline_id, update_id).update
    assert update is not None
    assert (update.state, update.cause, update.full_refresh) == (
        UpdateInfoState.CREATED,
        UpdateInfoCause.API_CALL,
        True,
    )
    [record] = workspace.updates_of(pipeline_id)
    assert update.creation_time == record.creation_time
    assert update.config is not None
    assert update.config.name == "orders"
    workspace.set_state(pipeline_id, update_id, "COMPLETED")
    update = client.pipelines.get_update(pipeline_id, update_id).update
    assert update is not None
    assert update.state is UpdateInfoState.COMPLETED


def test_a_start_may_name_its_cause(workspace: SimulatedWorkspace, client: WorkspaceClient) -> None:
    pipeline_id = workspace.add_pipeline()
    client.pipelines.start_update(pipeline_id, cause=StartUpdateCause.JOB_TASK)
    assert workspace.updates_of(pipeline_id)[0].cause == "JOB_TASK"


def test_a_start_of_some_tables_is_shown_in_the_update_and_in_the_listing(
    workspace: SimulatedWorkspace, client: WorkspaceClient
) -> None:
    pipeline_id = workspace.add_pipeline()
    started = client.pipelines.start_update(
        pipeline_id,
        refresh_selection=["orders"],
        full_refresh_selection=["main.sales.items"],
        reset_checkpoint_selection=["main.sales.orders"],
    )
    assert started.update_id is not None
    update = client.pipelines.get_update(pipeline_id, started.update_id).update
    (listed,) = client.pipelines.list_updates(pipeline_id).updates or []
    for shown in (update, listed):
        assert shown is not None
        assert (shown.refresh_selection, shown.full_refresh_selection) == (["orders"], ["main.sales.items"])
        assert not shown.validate_only
    assert workspace.updates_of(pipeline_id)[0].body == {
        "refresh_selection": ["orders"],
        "full_refresh_selection": ["main.sales.items"],
        "reset_checkpoint_selection": ["main.sales.orders"],
    }


def test_a_validation_is_shown_as_one(workspace: SimulatedWorkspace, client: WorkspaceClient) -> None:
    pipeline_id = workspace.add_pipeline()
    started = client.pipelines.start_update(pipeline_id, validate_only=True)
    assert started.update_id is not None
    update = client.pipelines.get_update(pipeline_id, started.update_id).update
    assert update is not None
    assert update.validate_only is True


def test_a_pipeline_comes_with_its_spec(workspace: SimulatedWorkspace, client: WorkspaceClient) -> None:
    pipeline_id = workspace.add_pipeline(spec={"continuous": True, "configuration": {"spark.x": "1"}, "photon": False})
    pipeline = client.pipelines.get(pipeline_id)
    assert pipeline.state is PipelineState.IDLE
    assert pipeline.spec is not None
    assert (pipeline.spec.continuous, pipeline.spec.photon) == (True, False)
    assert pipeline.spec.configuration == {"spark.x": "1"}


def test_all_pipelines_are_listed_over_several_pages(workspace: SimulatedWorkspace, client: WorkspaceClient) -> None:
    ids = workspace.add_pipelines(150)
    workspace.start_elsewhere(ids[0])
    listed = {pipeline.pipeline_id: pipeline for pipeline in client.pipelines.list_pipelines(max_results=100)}
    assert listed.keys() == set(ids)
    assert len(workspace.calls("GET", "/pipelines")) == 2
    [latest] = listed[ids[0]].latest_updates or []
    assert isinstance(latest.creation_time, str)
    named = client.pipelines.list_pipelines(filter="name LIKE '%00149%'")
    assert [pipeline.name for pipeline in named] == ["pipeline 00149"]
    with pytest.raises(BadRequest):
        list(client.pipelines.list_pipelines(max_results=101))


def test_all_updates_are_listed_over_several_pages(workspace: SimulatedWorkspace, client: WorkspaceClient) -> None:
    pipeline_id = workspace.add_pipeline(script=["COMPLETED"])
    ids = [workspace.start_elsewhere(pipeline_id) for _ in range(30)]
    first = client.pipelines.list_updates(pipeline_id)
    second = client.pipelines.list_updates(pipeline_id, page_token=first.next_page_token)
    listed = [update.update_id for page in (first, second) for update in page.updates or []]
    assert listed == ids[::-1]
    assert second.next_page_token is None


def test_a_stop_is_waited_for_until_the_pipeline_is_idle(
    workspace: SimulatedWorkspace, client: WorkspaceClient
) -> None:
    pipeline_id = workspace.add_pipeline(drain_seconds=0)
    client.pipelines.start_update(pipeline_id)
    assert client.pipelines.stop_and_wait(pipeline_id).state is PipelineState.IDLE
    assert [update.state for update in workspace.updates_of(pipeline_id)] == ["CANCELED"]


def test_the_events_of_a_failure_are_listed_over_several_pages(
    workspace: SimulatedWorkspace, client: WorkspaceClient
) -> None:
    pipeline_id = workspace.add_pipeline(failures=[("java.lang.Exception", "The disk is full.")])
    update_id = client.pipelines.start_update(pipeline_id).update_id
    workspace.set_state(pipeline_id, update_id, "FAILED")
    events = list(client.pipelines.list_pipeline_events(pipeline_id, max_results=2))
    assert len(events) == 4
    assert len(workspace.calls("GET", "/pipelines/{id}/events")) == 2
    [failure] = [event for event in events if event.origin and event.origin.update_id == update_id and event.error]
    assert failure.level is EventLevel.ERROR
    assert failure.error is not None
    [exception] = failure.error.exceptions or []
    assert (exception.class_name, exception.message) == ("java.lang.Exception", "The disk is full.")


def test_errors_arrive_as_the_types_of_the_sdk(workspace: SimulatedWorkspace, client: WorkspaceClient) -> None:
    pipeline_id = workspace.add_pipeline()
    client.pipelines.start_update(pipeline_id)
    with pytest.raises(ResourceConflict, match="An active update"):
        client.pipelines.start_update(pipeline_id)
    with pytest.raises(NotFound, match="The specified pipeline nope was not found"):
        client.pipelines.get("nope")
    with pytest.raises(NotFound):
        client.pipelines.get_update(pipeline_id, "nope")
    workspace.forbid(pipeline_id)
    with pytest.raises(PermissionDenied):
        client.pipelines.get(pipeline_id)
    workspace.revoke_tokens()
    with pytest.raises(Unauthenticated):
        client.pipelines.get(pipeline_id)


def test_the_client_waits_out_a_429(workspace: SimulatedWorkspace, client: WorkspaceClient) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("status", status=429, headers={"Retry-After": "0"}, error_code="REQUEST_LIMIT_EXCEEDED")
    client.pipelines.get(pipeline_id)
    assert [entry.status for entry in workspace.calls()] == [429, 200]


def test_the_client_calls_no_other_host(workspace: SimulatedWorkspace, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses: set[Any] = set()
    connect = socket.socket.connect

    def recording_connect(self: socket.socket, address: Any) -> None:
        addresses.add(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", recording_connect)
    client = WorkspaceClient(host=workspace.url, token=workspace.issue_token(), auth_type="pat")
    list(client.pipelines.list_pipelines())
    address = urlsplit(workspace.url)
    assert addresses == {(address.hostname, address.port)}
