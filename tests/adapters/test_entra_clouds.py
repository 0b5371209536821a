"""The management endpoint that a workspace's token is for. Each of Azure's clouds has its own."""

from __future__ import annotations

import time
from typing import Any, NoReturn

import pytest
import requests
from azure.core.credentials import AccessToken
from requests.adapters import HTTPAdapter

from local.rig import ManualClock
from polysync_core.adapters.databricks.client import Databricks
from polysync_core.adapters.databricks.entra import DATABRICKS_SCOPE, EntraTokens, management_scope
from polysync_core.values.databricks_errors import DatabricksUnreachable
from polysync_core.values.deadline import Deadline
from polysync_core.values.workspace import Workspace

PUBLIC = "https://management.core.windows.net/.default"
GOVERNMENT = "https://management.core.usgovcloudapi.net/.default"
CHINA = "https://management.core.chinacloudapi.cn/.default"
RESOURCE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Databricks/workspaces/w"


class NamingCredential:
    """Issues tokens that consist of their scopes."""

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken(" ".join(scopes), int(time.time()) + 3600)


class UnpluggedAdapter(HTTPAdapter):
    """Records the headers of requests, and sends nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.headers: list[dict[str, str]] = []

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> NoReturn:
        self.headers.append(dict(request.headers))
        raise requests.ConnectionError("unplugged")


@pytest.mark.parametrize(
    ("host", "scope"),
    [
        ("adb-1.7.azuredatabricks.net", PUBLIC),
        ("adb-1.7.databricks.azure.us", GOVERNMENT),
        ("adb-1.7.databricks.azure.cn", CHINA),
        ("adb-1.7.privatelink.databricks.azure.us", GOVERNMENT),
        ("adb-1.7.databricks.azure.cn:8443", CHINA),
        ("databricks.contoso.example", PUBLIC),
        ("databricks.azure.us.contoso.example", PUBLIC),
        ("mydatabricks.azure.us", PUBLIC),
    ],
)
def test_a_management_token_is_for_the_cloud_of_the_workspace(host: str, scope: str) -> None:
    assert management_scope(f"https://{host}") == scope
    session, adapter, clock = requests.Session(), UnpluggedAdapter(), ManualClock()
    session.mount("https://", adapter)
    workspace = Workspace(name="w", url=f"https://{host}", resource_id=RESOURCE)
    databricks = Databricks(workspace, session, EntraTokens(NamingCredential, clock), clock)
    with pytest.raises(DatabricksUnreachable):
        databricks.client(Deadline.after(clock, 5.0)).fetch_pipelines_page()
    (sent,) = adapter.headers
    assert sent["X-Databricks-Azure-SP-Management-Token"] == scope
    assert sent["Authorization"] == f"Bearer {DATABRICKS_SCOPE}"
