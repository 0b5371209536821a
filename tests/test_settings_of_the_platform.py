"""Bad values that a platform leaves: unresolved references, addresses of no workspace, names in another case."""

from __future__ import annotations

import pytest

from polysync_core.settings import SETTING_NAMES
from polysync_core.values.workspace import TablesAddress, Workspace
from tests.rules.examples import HOST, read_settings, setting_problem, setting_problems

VAULT = "@Microsoft.KeyVault(SecretUri=https://hush.vault.azure.net/secrets/s)"
RESTART = "then restart the app."
OWN = "give the workspace's own, like https://adb-1234567890123456.7.azuredatabricks.net."

# --- references


@pytest.mark.parametrize(
    "name",
    [
        *sorted(SETTING_NAMES - {"POLYSYNC_WORKSPACES"}),
        "AzureWebJobsStorage",
        "AzureWebJobsStorage__accountName",
        "AzureWebJobsStorage__tableServiceUri",
        "AzureWebJobsStorage__clientId",
        "azurewebjobsstorage__CLIENTID",
        "AZURE_CLIENT_ID",
    ],
)
def test_an_unresolved_reference_is_named_with_the_remedy_for_every_setting(name: str) -> None:
    problem = setting_problem(**{name: VAULT})
    assert problem.startswith(f"{name}: the @Microsoft.KeyVault reference was not resolved; check that ")
    assert "Key Vault Secrets User" in problem
    assert problem.endswith(RESTART)
    assert "hush" not in problem


@pytest.mark.parametrize(
    ("given", "told", "reason"),
    [
        (VAULT, "Key Vault Secrets User", "by address"),
        ("@Microsoft.KeyVault(VaultName=v;SecretName=s)", "Key Vault Secrets User", "by names"),
        (f"  {VAULT} ", "Key Vault Secrets User", "with blanks around"),
        ("@microsoft.keyvault(SecretUri=x)", "Key Vault Secrets User", "in small letters"),
        ("@Microsoft.KeyVault(SecretUri=x", "Key Vault Secrets User", "without its end"),
        (
            "@Microsoft.AppConfiguration(Endpoint=https://c; Key=k)",
            "App Configuration Data Reader",
            "App Configuration",
        ),
        ("@Microsoft.Whatever(x)", "identity (keyVaultReferenceIdentity) may read it", "a kind that comes later"),
        (f"AccountName=a;AccountKey={VAULT}", "only where it is the whole value", "in the middle of a value"),
        (f'"{VAULT}"', "only where it is the whole value", "in quotes"),
    ],
)
def test_every_form_of_a_reference_is_known(given: str, told: str, reason: str) -> None:
    problem = setting_problem(POLYSYNC_TABLES=given)
    assert problem.startswith("POLYSYNC_TABLES: the @"), reason
    assert told in problem, reason


def test_a_reference_inside_the_list_of_workspaces_is_named() -> None:
    problem = setting_problem(DATABRICKS_HOST="", POLYSYNC_WORKSPACES=f'{{"a": {{"url": "{VAULT}"}}}}')
    assert problem.startswith("POLYSYNC_WORKSPACES: the @Microsoft.KeyVault reference in it was not resolved")


@pytest.mark.parametrize("given", ["https://a.example", "who@microsoft.example", "@Microsoft", "@Microsoft.KeyVault"])
def test_what_is_not_a_reference_is_not_taken_for_one(given: str) -> None:
    assert "resolved" not in " ".join(setting_problems(POLYSYNC_CALLBACK_SECRET=given))


# --- addresses of a workspace


@pytest.mark.parametrize(
    ("host", "what"),
    [
        ("northeurope.azuredatabricks.net", "a region"),
        ("NorthEurope.AzureDatabricks.net", "a region"),
        ("northeurope.azuredatabricks.net.", "a region"),
        ("northeurope.azuredatabricks.net:443", "a region"),
        ("https://westus2.azuredatabricks.net/?o=1234567890123456", "a region"),
        ("eastus-c3.azuredatabricks.net", "a region"),
        ("azuredatabricks.net", "a region"),
        ("usgovvirginia.databricks.azure.us", "a region"),
        ("chinaeast2.databricks.azure.cn", "a region"),
        ("accounts.azuredatabricks.net", "an account console"),
        ("https://accounts.azuredatabricks.net/login", "an account console"),
        ("ACCOUNTS.azuredatabricks.net", "an account console"),
        ("accounts.databricks.azure.us", "an account console"),
        ("accounts.databricks.azure.cn", "an account console"),
        ("accounts.cloud.databricks.com", "an account console"),
        ("accounts.gcp.databricks.com", "an account console"),
        ("accounts.cloud.databricks.us", "an account console"),
        ("accounts-dod.cloud.databricks.us", "an account console"),
    ],
)
def test_an_address_of_no_workspace_is_refused_with_the_reason(host: str, what: str) -> None:
    remedy = f"is the address of {what}, not of a workspace; {OWN}"
    assert setting_problem(DATABRICKS_HOST=host) == f"DATABRICKS_HOST: {remedy}"
    listed = f'{{"a": {{"url": "{host}"}}}}'
    assert setting_problem(DATABRICKS_HOST="", POLYSYNC_WORKSPACES=listed) == (
        f"POLYSYNC_WORKSPACES['a']: url {remedy}"
    )


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        ("adb-1234567890123456.7.azuredatabricks.net", "a workspace"),
        ("adb-1234567890123456.azuredatabricks.net", "a workspace without the number after it"),
        ("adb-1.7.privatelink.azuredatabricks.net", "by its private endpoint"),
        ("adb-1.7.databricks.azure.us", "a workspace of the US government's cloud"),
        ("adb-1.7.databricks.azure.cn", "a workspace in China"),
        ("databricks.contoso.example", "a name of its owner's"),
        ("accounts.contoso.example", "somebody's own name that begins as the console's"),
        ("northeurope.azuredatabricks.net.contoso.example", "somebody's own name that begins as a region's"),
        ("myazuredatabricks.net", "another domain"),
        ("dbc-a1b2.cloud.databricks.com", "a workspace on AWS"),
        ("1234.5.gcp.databricks.com", "a workspace on Google"),
        ("10.1.2.3", "an address in a private network"),
        ("127.0.0.1:8443", "loopback"),
    ],
)
def test_an_address_that_may_be_a_workspace_s_is_taken(host: str, reason: str) -> None:
    assert read_settings(DATABRICKS_HOST=f"https://{host}").workspaces[0].url == f"https://{host}", reason


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (HOST, HOST),
        (HOST, f"{HOST}/"),
        (HOST, HOST.removeprefix("https://")),
        (HOST, HOST.upper()),
        (HOST, f"{HOST}:443"),
        (HOST, f"{HOST}."),
        ("http://[::1]:8080", "http://[0:0::1]:8080"),
        ("http://localhost", "http://localhost:80"),
    ],
)
def test_two_names_of_one_address_are_an_error(one: str, other: str) -> None:
    listed = f'{{"a": {{"url": "{one}"}}, "x": {{"url": "https://x"}}, "b": {{"url": "{other}"}}}}'
    problem = setting_problem(DATABRICKS_HOST="", POLYSYNC_WORKSPACES=listed)
    assert problem == "POLYSYNC_WORKSPACES['b']: has the same address as 'a'; give a workspace one name."


@pytest.mark.parametrize("other", [f"{HOST}:8443", "https://adb-1.8.azuredatabricks.net"])
def test_another_port_or_host_is_another_workspace(other: str) -> None:
    listed = f'{{"a": {{"url": "{HOST}"}}, "b": {{"url": "{other}"}}}}'
    assert read_settings(DATABRICKS_HOST="", POLYSYNC_WORKSPACES=listed).workspaces == (
        Workspace(name="a", url=HOST),
        Workspace(name="b", url=other),
    )


# --- the host's own storage

ENDPOINT = "https://a.table.core.windows.net"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        (
            {"AzureWebJobsStorage__accountname": "a", "AzureWebJobsStorage__clientID": "me"},
            TablesAddress(endpoint=ENDPOINT, client_id="me"),
        ),
        (
            {"AZUREWEBJOBSSTORAGE__TABLESERVICEURI": ENDPOINT, "azurewebjobsstorage__clientid": "me"},
            TablesAddress(endpoint=ENDPOINT, client_id="me"),
        ),
        (
            {"AzureWebjobsStorage": "UseDevelopmentStorage=true"},
            TablesAddress(connection_string="UseDevelopmentStorage=true"),
        ),
        (
            {
                "AzureWebJobsStorage__accountName": "a",
                "AzureWebJobsStorage__credential": "managedidentity",
                "AzureWebJobsStorage__blobServiceUri": "https://a.blob.core.windows.net",
                "AzureWebJobsStorage__queueServiceUri": "https://a.queue.core.windows.net",
                "AzureWebJobsDashboard": "x",
                "AzureWebJobsSecretStorageType": "files",
                "AzureWebJobsFeatureFlags": "x",
                "AzureWebJobsStorageOfOrders": "x",
                "AzureWebJobsStorage__tableUri": " ",
            },
            TablesAddress(endpoint=ENDPOINT),
        ),
    ],
)
def test_the_host_s_names_are_read_without_regard_to_case(environ: dict[str, str], expected: TablesAddress) -> None:
    assert read_settings(POLYSYNC_TABLES="", **environ).tables == expected


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("AzureWebJobsStorage__tableServiceUrl", "AzureWebJobsStorage__tableServiceUri"),
        ("AzureWebJobsStorage__tableUri", "AzureWebJobsStorage__tableServiceUri"),
        ("AzureWebJobsStorage__tablesServiceUri", "AzureWebJobsStorage__tableServiceUri"),
        ("AzureWebJobsStorage__account", "AzureWebJobsStorage__accountName"),
        ("AzureWebJobsStorage_accountName", "AzureWebJobsStorage__accountName"),
        ("AzureWebJobsStorage:accountName", "AzureWebJobsStorage__accountName"),
        ("AzureWebJobsStorage.accountName", "AzureWebJobsStorage__accountName"),
        ("AzureWebJobsStorageAccountName", "AzureWebJobsStorage__accountName"),
        ("AzureWebJobStorage__accountName", "AzureWebJobsStorage__accountName"),
        ("AzureWebJobsStorage__client_id", "AzureWebJobsStorage__clientId"),
        ("AzureWebJobsStorage__ClientIds", "AzureWebJobsStorage__clientId"),
        ("AzureWebJobStorage", "AzureWebJobsStorage"),
    ],
)
def test_a_name_that_the_host_does_not_read_is_named_with_the_nearest_right_one(name: str, meant: str) -> None:
    problem = setting_problem(**{name: "a"})
    assert problem == f"{name}: is not a name that the Functions host reads; did you mean {meant}."


def test_one_name_in_two_cases_with_two_values_is_named() -> None:
    environ = {"AzureWebJobsStorage__clientId": "a", "AzureWebJobsStorage__clientid": "b"}
    assert setting_problem(**environ).startswith("AzureWebJobsStorage__clientid: is set twice, in different case")


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"AzureWebJobsStorage__blobServiceUri": "https://hush.blob.core.windows.net"}, "blobServiceUri"),
        ({"AzureWebJobsStorage__queueServiceUri": "https://hush.queue.core.windows.net"}, "queueServiceUri"),
        ({"AzureWebJobsStorage__credential": "managedidentity"}, "credential"),
    ],
)
def test_settings_that_do_not_say_where_the_tables_are_are_named(environ: dict[str, str], named: str) -> None:
    problem = setting_problem(POLYSYNC_TABLES="", **environ)
    assert problem == (
        f"POLYSYNC_TABLES: is missing, and AzureWebJobsStorage__{named} alone does not say where the tables are; set "
        "AzureWebJobsStorage__tableServiceUri, like https://<account>.table.core.windows.net, "
        "or AzureWebJobsStorage__accountName."
    )


@pytest.mark.parametrize("way", ["managedIdentityClientId", "managedIdentityResourceId", "clientSecret"])
def test_another_spelling_of_an_identity_setting_is_not_silently_ignored(way: str) -> None:
    environ = {"AzureWebJobsStorage__accountName": "a", f"AzureWebJobsStorage__{way.upper()}": "hush"}
    problem = setting_problem(POLYSYNC_TABLES="", **environ)
    assert problem.startswith(f"AzureWebJobsStorage__{way}: is not read by Polysync; name a managed identity by ")
    both = environ | {"AzureWebJobsStorage__clientId": "me"}
    assert read_settings(POLYSYNC_TABLES="", **both).tables == TablesAddress(endpoint=ENDPOINT, client_id="me")


@pytest.mark.parametrize("name", ["polysync_tables", "Polysync_Public_Url", "POLYSYNC_tables"])
def test_a_setting_of_ours_in_another_case_is_named(name: str) -> None:
    assert setting_problem(**{name: "x"}) == f"{name}: is not a setting of Polysync; did you mean {name.upper()}."
