"""What the DEBUG log shows of callers, of settings and of credentials for storage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import AccountSasPermissions, ResourceTypes, generate_account_sas

from tests.functions.app import Serve, ServedApp
from tests.functions.secrecy import check_told


def signed(connection_string: str) -> str:
    """Return a connection string with a shared access signature instead of the account key."""
    parts = dict(part.split("=", 1) for part in connection_string.split(";") if part)
    signature = generate_account_sas(
        AzureNamedKeyCredential(parts["AccountName"], parts["AccountKey"]),
        resource_types=ResourceTypes.from_string("sco"),
        permission=AccountSasPermissions.from_string("rwdlacup"),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    return f"TableEndpoint={parts['TableEndpoint']};SharedAccessSignature={signature}"


def test_a_signature_that_opens_storage_is_not_in_it(
    serve: Serve, azurite: str, caplog: pytest.LogCaptureFixture
) -> None:
    with serve(POLYSYNC_TABLES=signed(azurite)) as app:
        pipeline = app.databricks.add_pipeline()
        run = app.run(pipeline)
        app.fire("sweep_runs")
        answers = [app.get(run), app.get("/api/health")]
        assert [answer.status for answer in answers] == [200, 200], answers
        assert "sweep: workspaces=1" in caplog.text
        check_told(caplog.text, *answers)


def test_an_unknown_setting_is_logged_once(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    with serve(POLYSYNC_ENV="its value") as app:
        assert [app.get("/api/runs").status for _ in range(2)] == [200, 200]
    assert caplog.text.count("POLYSYNC_ENV is not a setting of Polysync and is ignored") == 1
    assert "its value" not in caplog.text


def test_whoever_changes_a_run_or_the_key_is_named_and_without_its_credential(
    app: ServedApp, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline, who = app.databricks.add_pipeline(), app.credential.logged
    run_id = app.start(pipeline).json["runId"]
    run = f"/api/runs/{run_id}"
    answers = [
        app.start(pipeline, {"onConflict": "attach"}, Idempotency_Key="joining"),
        app.post(f"/api/pipelines/{pipeline}/cancel", Idempotency_Key="joining"),
        app.post(f"{run}/cancel"),
        app.post(f"{run}/abandon"),
        app.post("/api/secrets/await/rotate"),
    ]
    assert [answer.status for answer in answers] == [202, 200, 202, 200, 200]
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("polysync.")]
    told = [line.partition(";")[0] for line in lines]
    assert told == [
        f"start of pipeline {pipeline} by {who}: run {run_id}",
        f"start of pipeline {pipeline} by {who}: joined run {run_id}",
        f"cancel of run {run_id} by {who}: nothing is to be stopped",
        f"cancel of run {run_id} by {who}",
        f"run {run_id} was abandoned by {who}",
        f"the key of the await addresses was rotated by {who}",
    ]
    check_told(caplog.text)


def test_whoever_changes_a_job_or_repeats_a_callback_is_named(app: ServedApp, caplog: pytest.LogCaptureFixture) -> None:
    pipeline, who = app.databricks.add_pipeline(), app.credential.logged
    run = app.run(pipeline)
    app.post(f"{run}/abandon")
    caplog.clear()
    answers = [
        app.post("/api/jobs/discover"),
        app.post(f"/api/jobs/{pipeline}/sync"),
        app.put(f"/api/jobs/{pipeline}/parameters/full_refresh", {"value": True, "direction": "Input"}),
        app.post(f"{run}/callbacks/redeliver"),
    ]
    assert [answer.status for answer in answers] == [200, 200, 200, 202]
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("polysync.")]
    assert [line for line in lines if not line.startswith("discovery: ")] == [
        f"discovery of workspace {app.name} by {who}",
        f"sync of job {pipeline} by {who}",
        f"full_refresh of job {pipeline} was set to True (Input) by {who}",
        f"the callbacks of run {run.removeprefix('/api/runs/')} are sent again for {who}",
    ]
    check_told(caplog.text)
