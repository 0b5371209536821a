"""Responses of storage that break off or are invalid: the write is looked up, and only our own errors are raised."""

from __future__ import annotations

from typing import Any

import pytest

from local.faults import Fault, FaultPlan
from local.rig import Rig
from local.workspace import SimulatedWorkspace
from polysync_core.values.errors import StorageUnavailable

PAGE = {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<html>Gateway</html>"}


@pytest.mark.parametrize(
    ("label", "key"),
    [
        ("POST PolysyncRuns(starting)", None),
        ("POST $batch starting start", "k"),
        ("POST $batch starting start active run recent", "k"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "answer"),
    [("half", {}), ("status", PAGE), ("status", {**PAGE, "status": 202})],
    ids=["half", "200", "202"],
)
def test_a_write_whose_answer_breaks_off_or_is_a_page_is_found(
    behind_proxy: Rig,
    workspace: SimulatedWorkspace,
    plan: FaultPlan,
    label: str,
    key: str | None,
    kind: Any,
    answer: dict[str, Any],
) -> None:
    behind_proxy.start(workspace.add_pipeline())
    pipeline_id = workspace.add_pipeline()
    plan.add(Fault(kind, when="after", label=label, **answer))
    run_id = behind_proxy.start(pipeline_id, key=key).run.run_id
    assert [call.label for call in plan.calls() if call.fault is not None] == [label]
    (update,) = workspace.updates_of(pipeline_id)
    assert run_id.update_id == update.update_id
    assert str(run_id) in behind_proxy.active_ids()
    assert not behind_proxy.is_reserved(pipeline_id)


def test_an_answer_that_is_a_page_is_storage_trouble(
    behind_proxy: Rig, workspace: SimulatedWorkspace, plan: FaultPlan
) -> None:
    plan.add(Fault("status", label="GET PolysyncJobs(job)", **PAGE))  # type: ignore[arg-type]
    with pytest.raises(StorageUnavailable):
        behind_proxy.start(workspace.add_pipeline(), key="k")


READS_AND_WRITES = {
    "POST $batch starting start": "k",
    "POST PolysyncRuns(starting)": None,
    "GET PolysyncJobs(job)": None,
}
ROLE = "the role Storage Table Data Contributor"
JSON_ERROR = '{"odata.error": {"code": "%s", "message": {"lang": "en-US", "value": "https://hush.table/ denied"}}}'
XML_ERROR = '<?xml version="1.0"?><error><code>%s</code><message>https://hush.table/ denied</message></error>'


@pytest.mark.parametrize(
    ("code", "remedy", "reason"),
    [
        ("AuthorizationFailure", "network rules do not let the app in", "the network"),
        ("AuthorizationPermissionMismatch", f"Give the app's identity {ROLE} on the storage account", "a role"),
        ("KeyBasedAuthenticationNotPermitted", "Set the address of its tables instead of a connection string", "keys"),
        ("AuthenticationFailed", f"{ROLE}, or check the connection string", "a wrong key"),
        ("SomethingNew", f"{ROLE}, or check the connection string", "a code that comes later"),
    ],
)
@pytest.mark.parametrize(
    ("kind", "body", "in_header"),
    [("application/json;odata=minimalmetadata", JSON_ERROR, False), ("application/xml", XML_ERROR, True)],
)
def test_a_refusal_of_storage_has_the_remedy_of_its_code(
    behind_proxy: Rig,
    workspace: SimulatedWorkspace,
    plan: FaultPlan,
    kind: str,
    body: str,
    in_header: bool,
    code: str,
    remedy: str,
    reason: str,
) -> None:
    headers = {"Content-Type": kind} | ({"x-ms-error-code": code} if in_header else {})
    answer: dict[str, Any] = {"status": 403, "headers": headers, "body": body % code}
    for label, key in READS_AND_WRITES.items():
        plan.clear()
        plan.add(Fault("status", label=label, times=None, **answer))
        with pytest.raises(StorageUnavailable) as caught:
            behind_proxy.start(workspace.add_pipeline(), key=key)
        assert remedy in caught.value.detail, (label, reason)
        assert ("AuthorizationFailure" in caught.value.detail) is (code == "AuthorizationFailure")
        assert "hush" not in caught.value.detail


def test_a_sweep_that_cannot_read_leaves_all_as_it_is(
    behind_proxy: Rig, workspace: SimulatedWorkspace, plan: FaultPlan
) -> None:
    run_id = behind_proxy.start(workspace.add_pipeline()).run.run_id
    before = behind_proxy.stored(run_id)
    plan.add(Fault("half", label="GET PolysyncRuns(active…)", times=None))
    assert behind_proxy.sweep().failed
    assert behind_proxy.stored(run_id) == before
    plan.clear()
    assert behind_proxy.sweep().changed == 1
