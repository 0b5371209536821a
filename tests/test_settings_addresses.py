"""Addresses in settings: https unless loopback, nothing after the host, and the address of Table Storage."""

from __future__ import annotations

import pytest

from polysync_core.rules.wire.setting_values import is_loopback
from polysync_core.values.workspace import TablesAddress, Workspace
from tests.rules.examples import HOST, read_settings, setting_problem

ACCOUNT = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=aHVzaA==;EndpointSuffix=core.windows.net"
NO_ADDRESS = "must be an address"
EMULATOR = "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=b;TableEndpoint=http://127.0.0.1:10002/a"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        (HOST, HOST),
        (f"{HOST}/", HOST),
        (f"  {HOST} ", HOST),
        ("adb-1.7.azuredatabricks.net", HOST),
        ("HTTPS://ADB-1.7.AzureDatabricks.net", HOST),
        ("https://adb.example.net:8443", "https://adb.example.net:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://localhost:8080/", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_an_address_is_kept_as_scheme_host_and_port(given: str, url: str) -> None:
    assert read_settings(DATABRICKS_HOST=given).workspaces == (Workspace(name="default", url=url),)
    assert read_settings(POLYSYNC_PUBLIC_URL=given).public_url == url


@pytest.mark.parametrize(
    ("given", "remedy"),
    [
        ("http://adb.example.net", "must use https, unless its host is loopback"),
        ("http://localhost.example.net", "must use https, unless its host is loopback"),
        ("http://10.0.0.1", "must use https, unless its host is loopback"),
        (f"{HOST}/?o=123", NO_ADDRESS),
        (f"{HOST}/#setting", NO_ADDRESS),
        ("ftp://adb.example.net", NO_ADDRESS),
        ("https://", NO_ADDRESS),
        ("https://:443", NO_ADDRESS),
        ("https://a:99999", NO_ADDRESS),
        ("https://[::1", NO_ADDRESS),
        ("https://user:hush@adb.example.net", "must not hold a user name or password"),
    ],
)
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("DATABRICKS_HOST", "must be an address like https://host, without path or query"),
        ("POLYSYNC_PUBLIC_URL", "must be an address like https://host or https://host/path, without query"),
    ],
)
def test_a_bad_address_is_named_and_not_repeated(name: str, form: str, given: str, remedy: str) -> None:
    assert setting_problem(**{name: given}) == f"{name}: {form if remedy is NO_ADDRESS else remedy}."


def test_a_workspace_has_no_path() -> None:
    problem = setting_problem(DATABRICKS_HOST=f"{HOST}/api")
    assert problem == "DATABRICKS_HOST: must be an address like https://host, without path or query."


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://apim.example.net/polysync", "https://apim.example.net/polysync"),
        ("https://apim.example.net/polysync/", "https://apim.example.net/polysync"),
        ("apim.example.net/team-a/v1.0", "https://apim.example.net/team-a/v1.0"),
        ("https://a.example.net:443/api", "https://a.example.net/api"),
    ],
)
def test_the_public_address_may_have_a_path(given: str, url: str) -> None:
    assert read_settings(POLYSYNC_PUBLIC_URL=given).public_url == url


@pytest.mark.parametrize("given", ["https://a/b c", "https://a//b", "https://a/b?c", "https://a/ü", "https://a/<b>"])
def test_a_path_that_is_none_is_refused(given: str) -> None:
    assert setting_problem(POLYSYNC_PUBLIC_URL=given).startswith("POLYSYNC_PUBLIC_URL: must be an address like ")


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *((host, True) for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1")),
        *((host, False) for host in ("", "localhost.", "0.0.0.0", "10.0.0.1", "::", "127.0.0.1.example.net", "127.1")),
    ],
)
def test_loopback_is_localhost_or_a_literal_loopback_address(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


# --- storage


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"POLYSYNC_TABLES": ACCOUNT}, TablesAddress(connection_string=ACCOUNT)),
        ({"POLYSYNC_TABLES": EMULATOR}, TablesAddress(connection_string=EMULATOR)),
        (
            {"POLYSYNC_TABLES": "https://a.table.core.windows.net/", "AzureWebJobsStorage__clientId": "me"},
            TablesAddress(endpoint="https://a.table.core.windows.net"),
        ),
        ({"POLYSYNC_TABLES": "http://127.0.0.1:10002/a"}, TablesAddress(endpoint="http://127.0.0.1:10002/a")),
        ({"AzureWebJobsStorage": ACCOUNT}, TablesAddress(connection_string=ACCOUNT)),
        ({"POLYSYNC_TABLES": EMULATOR, "AzureWebJobsStorage": ACCOUNT}, TablesAddress(connection_string=EMULATOR)),
        (
            {"AzureWebJobsStorage__accountName": "a", "AzureWebJobsStorage__clientId": "me"},
            TablesAddress(endpoint="https://a.table.core.windows.net", client_id="me"),
        ),
        (
            {"AzureWebJobsStorage__tableServiceUri": "https://t", "AzureWebJobsStorage__accountName": "a"},
            TablesAddress(endpoint="https://t"),
        ),
    ],
)
def test_where_storage_is(environ: dict[str, str], expected: TablesAddress) -> None:
    assert read_settings(**({"POLYSYNC_TABLES": ""} | environ)).tables == expected


@pytest.mark.parametrize(
    ("name", "given", "remedy"),
    [
        ("POLYSYNC_TABLES", "http://a.table.core.windows.net", "must use https"),
        ("POLYSYNC_TABLES", "https://a.table.core.windows.net?sv=1&sig=hush", "must be an address"),
        ("POLYSYNC_TABLES", "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=hush", "must use https"),
        ("POLYSYNC_TABLES", "AccountKey=hush; tableendpoint = HTTP://a.example.net", "must use https"),
        ("AzureWebJobsStorage", "DefaultEndpointsProtocol=HTTP;AccountName=a;AccountKey=hush", "must use https"),
        ("AzureWebJobsStorage__tableServiceUri", "http://a.example.net", "must use https"),
        ("AzureWebJobsStorage__accountName", "a/b?c", "must be an address"),
    ],
)
def test_a_bad_storage_address_is_named_and_not_repeated(name: str, given: str, remedy: str) -> None:
    found = setting_problem(**({"POLYSYNC_TABLES": ""} | {name: given}))
    assert found.startswith(f"{name}: {remedy}")
    assert "hush" not in found


def test_a_connection_string_is_not_printed() -> None:
    assert "aHVzaA==" not in repr(read_settings(POLYSYNC_TABLES=ACCOUNT))


@pytest.mark.parametrize(
    "given",
    ["not a url", "https://{workspace}", "https://a..net", "https://a%2eb", r"https://a.net\b", "https://a.net:0"],
)
def test_an_address_that_is_none_is_refused(given: str) -> None:
    assert setting_problem(DATABRICKS_HOST=given).startswith("DATABRICKS_HOST:")


@pytest.mark.parametrize("given", ["TableEndpoint=http://[::1", "foo=bar", "AccountName=x"])
def test_a_connection_string_that_is_none_is_named(given: str) -> None:
    assert setting_problem(POLYSYNC_TABLES=given).startswith("POLYSYNC_TABLES:")
