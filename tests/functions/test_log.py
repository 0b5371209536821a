"""What the DEBUG log shows of settings and of credentials for storage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from azure.core.credentials import AzureNamedKeyCredential
from azure.data.tables import AccountSasPermissions, ResourceTypes, generate_account_sas

from tests.functions.app import Serve
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
