"""infra/entra/register, run as people run it, against a stand-in of `az` that records its calls."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from polysync_core.rules.wire import workspace_settings

SCRIPT = Path(__file__).resolve().parents[2] / "infra/entra/register"
TENANT = "99999999-aaaa-4bbb-8ccc-dddddddddddd"
CALLER = "11111111-2222-3333-4444-555555555555"
AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
PAGE = "https://polysync.example/api/page"
NEW_STATE = {
    "clouds": {
        "endpoints.microsoftGraphResourceId": "https://graph.microsoft.com/",
        "endpoints.activeDirectory": "https://login.microsoftonline.com",
    },
    # what Graph itself puts into a new object
    "defaults": {
        "applications": {
            "web": {
                "redirectUris": [],
                "homePageUrl": None,
                "implicitGrantSettings": {"enableAccessTokenIssuance": False, "enableIdTokenIssuance": False},
            },
            "spa": {"redirectUris": []},
            "publicClient": {"redirectUris": []},
            "passwordCredentials": [],
            "keyCredentials": [],
            "isFallbackPublicClient": None,
        },
        "servicePrincipals": {"appRoleAssignmentRequired": False},
    },
    "applications": [],
    "servicePrincipals": [],
    "assignments": [],
    "calls": [],
    "commands": [],
    "unknown_for": 0,
    "page": 999,
    "fail": "",
}
Done = subprocess.CompletedProcess[str]


class Tenant:
    """A tenant in a file, and the commands `az` and `azd` that read it."""

    def __init__(self, folder: Path) -> None:
        self._state, self._bin = folder / "state.json", folder / "bin"
        self._bin.mkdir()
        self._state.write_text(json.dumps(NEW_STATE))
        stand_in = Path(__file__).with_name("az_stand_in.py")
        self._command("az", f'exec "{sys.executable}" "{stand_in}" "$@"')
        self.azd("ERROR: key 'POLYSYNC_WORKSPACES' not found in the environment values", code=1)

    def azd(self, printed: str, *, code: int = 0) -> None:
        """From now on `azd env get-value` prints this."""
        (self._bin / "printed").write_text(printed)
        self._command("azd", f'cat "{self._bin}/printed"; exit {code}')

    def _command(self, name: str, line: str) -> None:
        (self._bin / name).write_text(f"#!/bin/bash\n{line}\n")
        (self._bin / name).chmod(0o755)

    def run(self, *arguments: str) -> Done:
        python = Path(sys.executable).parent
        path = f"{self._bin}:{python}:/usr/bin:/bin"
        environ = {**os.environ, "PATH": path, "AZ_STATE": str(self._state)}
        return subprocess.run(["bash", SCRIPT, *arguments], capture_output=True, text=True, env=environ, check=False)

    def apply(self, *arguments: str) -> Done:
        done = self.run(*arguments, "--apply")
        assert done.returncode == 0, done.stderr
        return done

    @property
    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self._state.read_text())
        return state

    def set(self, **changed: Any) -> None:
        self._state.write_text(json.dumps(self.state | changed))

    def writes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.state["calls"] if method != "GET"]

    def app(self, name: str = "polysync") -> dict[str, Any]:
        (found,) = [app for app in self.state["applications"] if app["displayName"] == name]
        return dict(found)

    def roles(self) -> dict[str, bool]:
        return {role["value"]: role["isEnabled"] for role in self.app()["appRoles"]}


@pytest.fixture
def tenant(tmp_path: Path) -> Tenant:
    return Tenant(tmp_path)


def _without_ids(paths: list[tuple[str, str]]) -> list[str]:
    return [re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", f"{method} {path}") for method, path in paths]


def test_a_dry_run_only_reads_and_shows_every_write(tenant: Tenant) -> None:
    shown = tenant.run("--workspaces", "finance,sales", "--page-redirect", PAGE)
    assert shown.returncode == 0, shown.stderr
    assert tenant.writes() == []
    assert {tuple(command) for command in tenant.state["commands"]} == {
        ("account", "show"),
        ("cloud", "show"),
        ("rest", "--method"),
    }
    written = re.findall(r"^(?:POST|PATCH) .*", shown.stdout, re.MULTILINE)
    assert [line.replace("https://graph.microsoft.com/v1.0/", "") for line in written] == [
        "POST applications",
        "POST servicePrincipals",
        "POST applications",
        "POST servicePrincipals",
        "PATCH applications/{id of polysync}",
    ]
    assert '"api://{client id of polysync}"' in shown.stdout
    assert "Nothing was changed. Add --apply" in shown.stdout


def test_the_api_s_registration_is_for_v2_tokens_with_roles_and_no_redirect(tenant: Tenant) -> None:
    tenant.apply("--workspaces", "sales,finance")
    app = tenant.app()
    assert app["signInAudience"] == "AzureADMyOrg"
    assert app["api"]["requestedAccessTokenVersion"] == 2
    assert app["identifierUris"] == [f"api://{app['appId']}"]
    assert (app["web"]["redirectUris"], app["spa"]["redirectUris"], app["publicClient"]["redirectUris"]) == ([], [], [])
    assert set(app["web"]["implicitGrantSettings"].values()) == {False}
    assert [claim["name"] for claim in app["optionalClaims"]["accessToken"]] == ["idtyp"]
    assert tenant.roles() == {
        f"Polysync.{level}{suffix}": True
        for suffix in ("", ".finance", ".sales")
        for level in ("Read", "Operate", "Admin")
    }
    assert all(role["allowedMemberTypes"] == ["Application", "User"] for role in app["appRoles"])
    (scope,) = app["api"]["oauth2PermissionScopes"]
    assert (scope["value"], scope["isEnabled"]) == ("access", True)
    assert app["api"]["preAuthorizedApplications"] == [{"appId": AZURE_CLI, "delegatedPermissionIds": [scope["id"]]}]
    (principal,) = tenant.state["servicePrincipals"]
    assert (principal["appId"], principal["appRoleAssignmentRequired"]) == (app["appId"], True)


def test_the_page_s_registration_has_a_single_page_redirect_and_no_role(tenant: Tenant) -> None:
    tenant.apply("--workspaces", "", "--page-redirect", PAGE, "--page-redirect", "http://localhost:7071/api/page")
    api, page = tenant.app(), tenant.app("polysync page")
    assert page["spa"]["redirectUris"] == ["http://localhost:7071/api/page", PAGE]
    assert page["web"]["redirectUris"] == []
    assert "appRoles" not in page
    (scope,) = api["api"]["oauth2PermissionScopes"]
    assert page["requiredResourceAccess"] == [
        {"resourceAppId": api["appId"], "resourceAccess": [{"id": scope["id"], "type": "Scope"}]}
    ]
    assert [client["appId"] for client in api["api"]["preAuthorizedApplications"]] == [AZURE_CLI, page["appId"]]


def test_the_settings_of_the_app_are_printed_at_the_end(tenant: Tenant) -> None:
    printed = tenant.apply("--workspaces", "", "--page-redirect", PAGE).stdout.splitlines()
    assert printed[-3:] == [
        f"POLYSYNC_ENTRA_TENANT={TENANT}",
        f"POLYSYNC_ENTRA_AUDIENCE={tenant.app()['appId']}",
        f"POLYSYNC_ENTRA_PAGE_CLIENT={tenant.app('polysync page')['appId']}",
    ]


@pytest.mark.parametrize(
    ("of_az", "of_tokens"),
    [
        ("https://login.microsoftonline.us/", "https://login.microsoftonline.us"),
        ("https://login.chinacloudapi.cn", "https://login.partner.microsoftonline.cn"),
        ("https://login.chinacloudapi.cn/", "https://login.partner.microsoftonline.cn"),
    ],
)
def test_a_sovereign_cloud_gets_the_authority_of_its_tokens_too(tenant: Tenant, of_az: str, of_tokens: str) -> None:
    tenant.set(clouds=tenant.state["clouds"] | {"endpoints.activeDirectory": of_az})
    assert f"POLYSYNC_ENTRA_AUTHORITY={of_tokens}\n" in tenant.apply("--workspaces", "").stdout


def test_a_second_run_changes_nothing(tenant: Tenant) -> None:
    arguments = ("--workspaces", "finance", "--page-redirect", PAGE)
    tenant.apply(*arguments)
    tenant.set(calls=[])
    assert "There is nothing to change." in tenant.apply(*arguments).stdout
    assert "There is nothing to change." in tenant.run("--workspaces", "finance").stdout
    assert tenant.writes() == []


def test_role_ids_are_the_same_in_every_registration(tenant: Tenant) -> None:
    tenant.apply("--workspaces", "finance", "--name", "one")
    tenant.apply("--workspaces", "finance", "--name", "two")
    assert tenant.app("one")["appRoles"] == tenant.app("two")["appRoles"]


def test_the_role_of_a_workspace_that_went_is_disabled_and_comes_back_with_its_id(tenant: Tenant) -> None:
    tenant.apply("--workspaces", "finance,sales")
    before = tenant.app()["appRoles"]
    tenant.apply("--workspaces", "sales")
    assert [value for value, is_enabled in tenant.roles().items() if not is_enabled] == [
        "Polysync.Read.finance",
        "Polysync.Operate.finance",
        "Polysync.Admin.finance",
    ]
    tenant.apply("--workspaces", "finance,sales")
    assert tenant.app()["appRoles"] == before


def test_a_role_that_was_made_by_hand_keeps_its_id_and_a_foreign_one_is_left_alone(tenant: Tenant) -> None:
    tenant.apply("--workspaces", "")
    state = tenant.state
    roles = state["applications"][0]["appRoles"]
    roles[0]["id"] = CALLER
    roles.append({**roles[1], "id": TENANT, "value": "Other.Role"})
    tenant.set(applications=state["applications"])
    tenant.apply("--workspaces", "finance")
    assert tenant.roles()["Other.Role"]
    assert tenant.app()["appRoles"][0]["id"] == CALLER


def test_without_known_workspaces_their_roles_stay_and_a_note_says_so(tenant: Tenant) -> None:
    tenant.apply("--workspaces", "finance")
    before = tenant.roles()
    done = tenant.apply()
    assert tenant.roles() == before
    assert "the workspaces are not known" in done.stderr


def test_the_workspaces_come_from_the_azd_environment(tenant: Tenant) -> None:
    tenant.azd('{"finance": {"url": "https://adb-1.2.azuredatabricks.net"}}')
    tenant.apply()
    assert "Polysync.Operate.finance" in tenant.roles()


def test_what_somebody_opened_is_closed_again(tenant: Tenant) -> None:
    tenant.apply("--workspaces", "")
    state = tenant.state
    app, principal = state["applications"][0], state["servicePrincipals"][0]
    app["web"] |= {"redirectUris": ["https://evil.example"], "implicitGrantSettings": {"enableIdTokenIssuance": True}}
    app["api"]["requestedAccessTokenVersion"] = None
    principal["appRoleAssignmentRequired"] = False
    scope = {**app["api"]["oauth2PermissionScopes"][0], "id": TENANT, "value": "user_impersonation"}
    app["api"]["oauth2PermissionScopes"].insert(0, scope)
    tenant.set(applications=[app], servicePrincipals=[principal])
    tenant.apply("--workspaces", "")
    app = tenant.app()
    assert app["web"]["redirectUris"] == []
    assert app["web"]["implicitGrantSettings"]["enableIdTokenIssuance"] is False
    assert app["api"]["requestedAccessTokenVersion"] == 2
    assert {s["value"]: s["isEnabled"] for s in app["api"]["oauth2PermissionScopes"]} == {
        "user_impersonation": False,
        "access": True,
    }
    assert tenant.state["servicePrincipals"][0]["appRoleAssignmentRequired"] is True
    assert "There is nothing to change." in tenant.run("--workspaces", "").stdout


def test_a_write_waits_for_what_this_run_has_just_created(tenant: Tenant) -> None:
    tenant.set(unknown_for=1)
    tenant.apply("--workspaces", "")
    assert tenant.app()["identifierUris"]


def test_a_secret_is_warned_of_and_never_printed(tenant: Tenant) -> None:
    tenant.apply("--workspaces", "")
    state = tenant.state
    secret = {"hint": "s3cr", "secretText": "s3cret-text", "displayName": "a secret's name"}
    state["applications"][0]["passwordCredentials"] = [secret]
    tenant.set(applications=state["applications"])
    done = tenant.apply("--workspaces", "finance")
    assert "polysync has 1 secret(s) or certificate(s)" in done.stderr
    assert not [text for text in secret.values() if text in done.stdout + done.stderr]


def test_grant_gives_a_caller_a_role_once(tenant: Tenant) -> None:
    tenant.apply("--workspaces", "finance")
    arguments = ("grant", "--principal", CALLER, "--role", "Polysync.Operate.finance")
    tenant.set(calls=[])
    assert "Nothing was changed" in tenant.run(*arguments).stdout
    assert tenant.writes() == []
    assert f"{CALLER} has Polysync.Operate.finance." in tenant.apply(*arguments).stdout
    assert "There is nothing to change." in tenant.apply(*arguments).stdout
    assert _without_ids(tenant.writes()) == ["POST servicePrincipals/ID/appRoleAssignedTo"]
    (held,) = tenant.state["assignments"]
    role = next(role for role in tenant.app()["appRoles"] if role["value"] == "Polysync.Operate.finance")
    resource = tenant.state["servicePrincipals"][0]["id"]
    assert held == {"principalId": CALLER, "resourceId": resource, "appRoleId": role["id"]}


def test_grant_accepts_an_assignment_that_exists_on_a_later_page(tenant: Tenant) -> None:
    tenant.apply("--workspaces", "")
    tenant.apply("grant", "--principal", CALLER, "--role", "Polysync.Read")
    tenant.set(page=0)
    tenant.apply("grant", "--principal", CALLER, "--role", "Polysync.Read")
    assert len(tenant.state["assignments"]) == 1


def test_grant_names_the_roles_that_there_are(tenant: Tenant) -> None:
    tenant.apply("--workspaces", "finance")
    tenant.apply("--workspaces", "")
    refused = tenant.run("grant", "--principal", CALLER, "--role", "Polysync.Read.finance", "--apply")
    assert refused.returncode == 2
    assert "is not one of: Polysync.Admin, Polysync.Operate, Polysync.Read." in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (("--workspaces", "finance,Sales"), "'Sales' is not a workspace's name"),
        (("--workspaces", "finance,,sales"), "'' is not a workspace's name"),
        (("--workspaces",), "needs a value"),
        (("--name", "a'b"), "--name may hold"),
        (("--audience", "polysync"), "must be a UUID"),
        (("--audience", CALLER), "is not a registration of the tenant"),
        (("--page-redirect", "http://polysync.example/api/page"), "must be https://APP/api/page"),
        (("--page-redirect", "https://polysync.example/"), "must be https://APP/api/page"),
        (("--page-redirect", f"{PAGE}?code=1"), "must be https://APP/api/page"),
        (("--principal", CALLER), "is an option of grant"),
        (("--now",), "is not an option"),
        (("grant", "--workspaces", "finance"), "is not an option of grant"),
        (("grant", "--principal", "me", "--role", "Polysync.Read"), "--principal must be a UUID"),
        (("grant", "--principal", CALLER, "--role", "Read"), "--role must be like"),
        (("grant", "--principal", CALLER, "--role", "Polysync.Read.A"), "--role must be like"),
        (("grant", "--principal", CALLER, "--role", "Polysync.Read"), "there is no registration 'polysync'"),
    ],
)
def test_a_bad_input_is_refused_with_the_remedy(tenant: Tenant, arguments: tuple[str, ...], remedy: str) -> None:
    refused = tenant.run(*arguments)
    assert (refused.returncode, remedy in refused.stderr) == (2, True), refused.stderr


def test_a_bad_setting_of_the_azd_environment_is_refused(tenant: Tenant) -> None:
    tenant.azd("finance,sales")
    refused = tenant.run("--apply")
    assert (refused.returncode, tenant.writes()) == (2, [])
    assert "POLYSYNC_WORKSPACES of the azd environment is not a JSON object" in refused.stderr


def test_two_registrations_of_one_name_need_the_id(tenant: Tenant) -> None:
    tenant.apply("--workspaces", "")
    first = tenant.app()
    tenant.set(applications=[first, {**first, "id": CALLER, "appId": TENANT}])
    refused = tenant.run("--workspaces", "")
    assert (refused.returncode, "--audience APP_ID" in refused.stderr) == (2, True)
    assert "There is nothing to change." in tenant.apply("--workspaces", "", "--audience", first["appId"]).stdout


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("Please run 'az login' to setup account.", "run `az login`"),
        ('Forbidden({"error":{"code":"Authorization_RequestDenied"}})', "Cloud Application Administrator"),
    ],
)
def test_a_refusal_of_azure_stops_the_run_and_names_the_remedy(tenant: Tenant, error: str, remedy: str) -> None:
    tenant.set(fail=error)
    refused = tenant.run("--workspaces", "", "--apply")
    assert (refused.returncode, remedy in refused.stderr) == (1, True), refused.stderr


def test_the_script_is_well_formed_and_executable() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    assert os.access(SCRIPT, os.X_OK)
    text = SCRIPT.read_text()
    assert "set -euo pipefail" in text
    assert not re.findall(r"\beval\b|\$\(\s*cat <<|`[^`]+`\s*\|", text)


@pytest.mark.parametrize("name", ["finance", "a-1", "A", "a.b", "", "x" * 41])
def test_the_script_and_the_app_agree_on_a_workspace_s_name(tenant: Tenant, name: str) -> None:
    try:
        workspace_settings.parse_workspace(name, {"url": "https://adb-1.2.azuredatabricks.net"})
        is_good = True
    except ValueError:
        is_good = False
    shown = tenant.run("--workspaces", f"known,{name}")
    assert (shown.returncode == 0) == is_good
