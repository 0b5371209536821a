"""What infra/ promises: no stored secret, least privilege, known settings, and a runbook section for each alert."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from polysync_core.settings import SETTING_NAMES, Settings, sweep_schedule
from tests.infra.bicep import Expression, Value, read

ROOT = Path(__file__).resolve().parents[2]
MAIN = read(ROOT / "infra/main.bicep")
ALERTS = read(ROOT / "infra/alerts.bicep")
RULES = ALERTS.variables["rules"]
SIGNALS = {
    metric["name"]: metric["attributes"] for metric in json.loads((ROOT / "infra/signals.json").read_text())["metrics"]
}
PASSED = json.loads((ROOT / "infra/main.parameters.json").read_text())["parameters"]
SOURCE = (ROOT / "infra/main.bicep").read_text()
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
SECTIONS = dict(re.findall(r"^## ([a-z-]+)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL))


def _at(value: Value, *path: str) -> Value:
    for name in path:
        assert isinstance(value, dict)
        value = value[name]
    return value


def _rules() -> list[dict[str, str]]:
    assert isinstance(RULES, list)
    return [{name: str(value) for name, value in rule.items()} for rule in RULES if isinstance(rule, dict)]


def test_no_door_opens_with_a_stored_secret() -> None:
    storage = MAIN.resource("storage").body
    assert _at(storage, "properties", "allowSharedKeyAccess") is False
    assert _at(storage, "properties", "allowBlobPublicAccess") is False
    assert _at(MAIN.resource("insights").body, "properties", "DisableLocalAuth") is True
    for policy in ("scmPolicy", "ftpPolicy"):
        assert _at(MAIN.resource(policy).body, "properties", "allow") is False
    assert re.search(r"listKeys|AccountKey|SharedAccess|@secure", SOURCE) is None


def test_everything_is_reached_over_https_alone() -> None:
    assert _at(MAIN.resource("app").body, "properties", "httpsOnly") is True
    assert _at(MAIN.resource("app").body, "properties", "siteConfig", "minTlsVersion") == "1.2"
    assert _at(MAIN.resource("storage").body, "properties", "supportsHttpsTrafficOnly") is True
    assert "http://" not in SOURCE


def test_the_identity_has_the_roles_it_needs_and_no_other() -> None:
    roles = {
        (str(resource.body["scope"]), str(_at(resource.body, "properties", "roleDefinitionId")))
        for resource in MAIN.resources
        if "/roleAssignments@" in resource.kind
    }
    named = {(re.findall(r"text='(\w+)'", scope)[0], re.findall(r"roles\.(\w+)", role)[0]) for scope, role in roles}
    assert named == {
        ("storage", "blobDataOwner"),
        ("storage", "tableDataContributor"),
        ("storage", "queueDataContributor"),
        ("insights", "metricsPublisher"),
    }


def test_every_setting_of_the_template_is_a_setting_of_the_app() -> None:
    named = set(re.findall(r"^ +((?:POLYSYNC|DATABRICKS)_\w+):", SOURCE, re.MULTILINE))
    assert named <= SETTING_NAMES
    assert set(re.findall(r'"(POLYSYNC_\w+)"', SOURCE)) <= SETTING_NAMES


def test_the_settings_without_a_safe_default_are_parameters() -> None:
    assert MAIN.variables["ownSettings"] == {
        "DATABRICKS_HOST": Expression("databricksHost"),
        "POLYSYNC_WORKSPACES": Expression("empty(workspaces) ? '' : string(workspaces)"),
    }
    assert {"databricksHost", "workspaces", "alertEmail"} <= MAIN.parameters.keys()


def test_the_sign_in_and_the_sweep_schedule_stay_when_more_settings_are_replaced() -> None:
    assert MAIN.variables["safeSettings"] == {
        "POLYSYNC_CALLERS": Expression("callers"),
        "POLYSYNC_ENTRA_TENANT": Expression("entraTenant"),
        "POLYSYNC_ENTRA_AUDIENCE": Expression("entraAudience"),
        "POLYSYNC_SWEEP_SCHEDULE": Expression("sweepSchedule"),
    }
    assert PASSED["callers"] == {"value": "${POLYSYNC_CALLERS=keys}"}
    assert {PASSED[name]["value"] for name in ("entraTenant", "entraAudience", "sweepSchedule")} == {
        "${POLYSYNC_ENTRA_TENANT}",
        "${POLYSYNC_ENTRA_AUDIENCE}",
        "${POLYSYNC_SWEEP_SCHEDULE}",
    }
    merged = _at(MAIN.resource("settings").body, "properties")
    assert isinstance(merged, Expression)
    assert merged.text.startswith("union(sampling, safeSettings, moreSettings, ownSettings, {")


def test_the_app_starts_with_the_defaults_of_the_template() -> None:
    """Azure passes an empty value where azd passes none. The app must take it for its own default."""
    safe = MAIN.variables["safeSettings"]
    assert isinstance(safe, dict)
    given = {name: _default(parameter.text) for name, parameter in safe.items() if isinstance(parameter, Expression)}
    host = {"DATABRICKS_HOST": "adb-1.2.azuredatabricks.net", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
    with_template = {**given, **host, "POLYSYNC_WORKSPACES": ""}
    assert Settings.from_environ(with_template) == Settings.from_environ(host)
    assert sweep_schedule(given) == sweep_schedule({})


def _default(parameter: str) -> str:
    return MAIN.parameters[parameter].rpartition(" = ")[2].strip("'")


def test_a_parameter_that_takes_json_is_an_object() -> None:
    """azd cannot put JSON into a parameter that is a string: the inner quotes end the value (Azure/azure-dev#5507)."""
    assert {name for name in MAIN.parameters if re.search(rf"param {name} object = {{}}$", MAIN.parameters[name])} == {
        "workspaces",
        "moreSettings",
    }
    assert {PASSED[name]["value"] for name in ("workspaces", "moreSettings")} == {
        "${POLYSYNC_WORKSPACES}",
        "${POLYSYNC_MORE_SETTINGS}",
    }
    assert not re.search(r"\bjson\(", SOURCE)


def test_parameters_are_described_and_bounded_and_azd_passes_only_known_ones() -> None:
    for name, declaration in MAIN.parameters.items():
        assert "@description(" in declaration, name
        is_bounded = re.search(r"@(allowed|minLength|maxLength|minValue)\(", declaration)
        assert is_bounded or re.search(r"\n?param \w+ (bool|object) ", declaration), name
    without_default = {name for name, declaration in MAIN.parameters.items() if "=" not in declaration.splitlines()[-1]}
    assert without_default <= PASSED.keys() <= MAIN.parameters.keys()


def test_what_azd_passes_without_a_value_is_the_default_of_the_template() -> None:
    for name, parameter in PASSED.items():
        if "=" in parameter["value"]:
            assert parameter["value"].rpartition("=")[2] == f"{_default(name)}}}", name


def test_azure_md_names_every_value_that_azd_passes_and_no_other() -> None:
    passed = {match for parameter in PASSED.values() for match in re.findall(r"\w+", parameter["value"])[:1]}
    page = (ROOT / "docs/azure.md").read_text()
    named = set(re.findall(r"^\| `([A-Z_]+)` \|", page, re.MULTILINE))
    named |= set(re.findall(r"^\$ azd env set (\w+)", page, re.MULTILINE))
    assert named == passed - {"AZURE_ENV_NAME"} | {"AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP"}


def test_an_instance_takes_as_many_requests_as_it_has_threads() -> None:
    triggers = _at(MAIN.resource("app").body, "properties", "functionAppConfig", "scaleAndConcurrency", "triggers")
    assert _at(triggers, "http", "perInstanceConcurrency") == Expression("threads")
    assert "PYTHON_THREADPOOL_THREAD_COUNT: string(threads)" in SOURCE


def test_easy_auth_is_off() -> None:
    assert _at(MAIN.resource("auth").body, "properties", "platform", "enabled") is False


def test_azd_finds_the_app_by_the_tag_of_its_service() -> None:
    services = yaml.safe_load((ROOT / "azure.yaml").read_text())["services"]
    assert re.findall(r"'azd-service-name': '(\w+)'", SOURCE) == list(services)
    assert services["api"] == {"project": ".", "language": "python", "host": "function"}


def test_infrastructure_is_not_deployed_with_the_app() -> None:
    ignored = (ROOT / ".funcignore").read_text().splitlines()
    assert {"infra", "azure.yaml", ".azure", ".git*"} <= set(ignored)


@pytest.mark.parametrize("section", [*(rule["section"] for rule in _rules()), "unhealthy"])
def test_each_alert_has_a_section_of_the_runbook_in_the_order_of_the_night(section: str) -> None:
    heads = re.findall(r"^### (.+)$", SECTIONS[section], re.MULTILINE)
    assert heads == ["What it means", "What to look at", "What to do"]


def test_the_runbook_has_no_section_without_an_alert() -> None:
    assert set(SECTIONS) == {*(rule["section"] for rule in _rules()), "unhealthy"}


@pytest.mark.parametrize("rule", _rules(), ids=lambda rule: rule["section"])
def test_an_alert_asks_for_known_metrics_and_attributes_only(rule: dict[str, str]) -> None:
    names = re.findall(r'Name == "([^"]+)"', rule["query"])
    assert names
    assert set(names) <= SIGNALS.keys()
    for attribute, value in re.findall(r'Properties\.(\w+)\)? == "([^"]+)"', rule["query"]):
        allowed = SIGNALS[names[0]][attribute]
        assert isinstance(allowed, str) or value in allowed
    assert re.search(rf"\b{rule['measure']} =", rule["query"])


@pytest.mark.parametrize("query", re.findall(r"App[MTD]\w+ \| [^`]+", RUNBOOK))
def test_a_query_of_the_runbook_is_bounded_in_time_and_asks_for_known_metrics_and_attributes(query: str) -> None:
    assert "| where TimeGenerated > ago(" in query
    names = re.findall(r'Name == "([^"]+)"', query)
    if not query.startswith("AppMetrics"):
        assert not SIGNALS.keys() & {*names}
        return
    assert names
    for name in names:
        assert set(re.findall(r"Properties\.(\w+)", query)) <= SIGNALS[name].keys()


def test_only_an_absence_alarms_below_its_threshold() -> None:
    assert [rule["section"] for rule in _rules() if rule["operator"] == "LessThan"] == ["no-sweep"]
