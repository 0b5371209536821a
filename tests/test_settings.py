"""Settings: one error names every bad setting, no misspelt name is ignored silently, and no secret is printed."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from polysync_core.rules.decisions.callback_addresses import DEFAULT_HOSTS, parse_hosts
from polysync_core.settings import Settings, ignored_names, sweep_schedule, sweeps_in_groups
from polysync_core.values.errors import SettingsError
from polysync_core.values.start_options import START_OPTIONS
from polysync_core.values.workspace import TablesAddress, Workspace
from tests.rules.examples import HOST, read_settings, setting_problem, setting_problems

RESOURCE = "/subscriptions/1-2/resourceGroups/rg/providers/Microsoft.Databricks/workspaces/sales"


def test_the_least_settings_and_their_defaults() -> None:
    assert read_settings() == Settings(
        workspaces=(Workspace(name="default", url=HOST),),
        tables=TablesAddress(connection_string="UseDevelopmentStorage=true"),
        public_url=None,
        app_url=None,
        status_max_age_seconds=30,
        lost_after_minutes=60,
        start_settle_seconds=120,
        parameters=("continuous", "development", "photon", "spark.*", "custom.*"),
        start_options=(),
        retry_grace_seconds=60,
        run_timeout_minutes=None,
        retention_days=90,
        callback_hosts=parse_hosts(DEFAULT_HOSTS),
        callback_secret=None,
        door=None,
        sweep_interval=timedelta(seconds=15),
        sweep_group_workspaces=200,
        notes=(),
    )


def test_all_bad_settings_are_named_together() -> None:
    found = setting_problems(
        DATABRICKS_HOST="http://adb.example.net",
        POLYSYNC_TABLES="",
        POLYSYNC_PUBLIC_URL="ftp://x",
        POLYSYNC_STATUS_MAX_AGE_SECONDS="soon",
        POLYSYNC_LOST_AFTER_MINUTES="0",
        POLYSYNC_START_SETTLE_SECONDS="-1",
        POLYSYNC_TABEL="x",
    )
    names = [line.split(":")[0] for line in found]
    assert sorted(names) == [
        "DATABRICKS_HOST",
        "POLYSYNC_LOST_AFTER_MINUTES",
        "POLYSYNC_PUBLIC_URL",
        "POLYSYNC_START_SETTLE_SECONDS",
        "POLYSYNC_STATUS_MAX_AGE_SECONDS",
        "POLYSYNC_TABEL",
        "POLYSYNC_TABLES",
    ]


def test_an_empty_environment_names_both_that_are_missing() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environ({})
    host, tables = caught.value.problems
    assert host.startswith("DATABRICKS_HOST: is missing; set the workspace's address, like https://")
    assert tables.startswith("POLYSYNC_TABLES: is missing; set a connection string or a table endpoint")


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("POLYSYNC_WORKSPACE", "POLYSYNC_WORKSPACES"),
        ("POLYSYNC_STATUS_MAX_AGE", "POLYSYNC_STATUS_MAX_AGE_SECONDS"),
        ("POLYSYNC_PUBLIC_URI", "POLYSYNC_PUBLIC_URL"),
        ("POLYSYNC_TABEL", "POLYSYNC_TABLES"),
        ("POLYSYNC_LOST_AFTER", "POLYSYNC_LOST_AFTER_MINUTES"),
        ("POLYSYNC_RETENTION", "POLYSYNC_RETENTION_DAYS"),
        ("POLYSYNC_RUN_TIMEOUT_SECONDS", "POLYSYNC_RUN_TIMEOUT_MINUTES"),
        ("POLYSYNC_CALLBACK_HOST", "POLYSYNC_CALLBACK_HOSTS"),
    ],
)
def test_a_misspelt_name_is_named_with_the_nearest_right_one(name: str, near: str) -> None:
    assert setting_problem(**{name: "x"}) == f"{name}: is not a setting of Polysync; did you mean {near}."


@pytest.mark.parametrize(
    "name",
    [
        "POLYSYNC_CALLBACK_URL",
        "POLYSYNC_CALLBACK_TIMEOUT",
        "POLYSYNC_TABLE_NAME",
        "POLYSYNC_RUN",
        "POLYSYNC_ENV",
        "POLYSYNC_",
        "POLYSYNC",
    ],
)
def test_a_name_that_resembles_none_of_the_settings_is_ignored(name: str) -> None:
    read_settings(**{name: "x"})
    known = {"POLYSYNC_LOCAL_KEY": "x", "POLYSYNC_TABLES": "x", "POLYSYNC_TABLE": "x", "PATH": "x"}
    assert ignored_names({name: "x", **known}) == ((name,) if name.startswith("POLYSYNC_") else ())


def test_names_of_the_laptops_parts_and_of_others_are_left_alone() -> None:
    read_settings(POLYSYNC_LOCAL_KEY="x", FUNCTIONS_WORKER_RUNTIME="python", PATH="/bin")


# --- start options


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", ()),
        (" ", ()),
        ("validate_only", ("validate_only",)),
        ("validate_only, refresh_selection,validate_only", ("refresh_selection", "validate_only")),
        (",".join(START_OPTIONS), START_OPTIONS),
    ],
)
def test_the_start_options_are_a_list_of_names(given: str, expected: tuple[str, ...]) -> None:
    assert read_settings(POLYSYNC_START_OPTIONS=given).start_options == expected


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("refresh", "refresh"),
        ("validate_only,Refresh_Selection", "Refresh_Selection"),
        ("validate_only,", ""),
        ("full_refresh", "full_refresh"),
        ("refresh_selection full_refresh_selection", "refresh_selection full_refresh_selection"),
    ],
)
def test_a_name_that_is_no_start_option_is_named_with_those_that_are(given: str, named: str) -> None:
    assert setting_problem(POLYSYNC_START_OPTIONS=given) == (
        f"POLYSYNC_START_OPTIONS: '{named[:40]}' is not a start option; give names of refresh_selection, "
        "full_refresh_selection, reset_checkpoint_selection, validate_only, with commas."
    )


# --- workspaces


def test_several_workspaces_keep_their_order_the_first_is_the_default() -> None:
    listed = f'{{"west": {{"url": "{HOST}"}}, "a-1": {{"url": "b.example.net", "resourceId": "{RESOURCE}"}}}}'
    assert read_settings(DATABRICKS_HOST="", POLYSYNC_WORKSPACES=listed).workspaces == (
        Workspace(name="west", url=HOST),
        Workspace(name="a-1", url="https://b.example.net", resource_id=RESOURCE),
    )


def test_one_workspace_and_several_contradict_each_other() -> None:
    contradiction = setting_problem(POLYSYNC_WORKSPACES='{"a": {"url": "b"}}')
    assert contradiction == "DATABRICKS_HOST and POLYSYNC_WORKSPACES: set only one of them."


@pytest.mark.parametrize(
    ("listed", "where"),
    [
        ("{", "POLYSYNC_WORKSPACES: must be JSON"),
        ("[" * 100_000, "POLYSYNC_WORKSPACES: must be JSON"),
        ("[]", "POLYSYNC_WORKSPACES: must be a JSON object"),
        ("{}", "POLYSYNC_WORKSPACES: must be a JSON object"),
        ('{"a": {"url": "x"}, "a": {"url": "y"}}', "POLYSYNC_WORKSPACES: must be JSON"),
        ('{"Sales": {"url": "x"}}', "POLYSYNC_WORKSPACES['Sales']: a workspace's name is"),
        ('{"": {"url": "x"}}', "POLYSYNC_WORKSPACES['']: a workspace's name is"),
        ('{"a|b": {"url": "x"}}', "POLYSYNC_WORKSPACES['a|b']: a workspace's name is"),
        ('{"a": "https://x"}', "POLYSYNC_WORKSPACES['a']: must be an object with url"),
        ('{"a": {}}', "POLYSYNC_WORKSPACES['a']: must be an object with url"),
        ('{"a": {"url": 5}}', "POLYSYNC_WORKSPACES['a']: must be an object with url"),
        ('{"a": {"url": "x", "resourceID": "y"}}', "POLYSYNC_WORKSPACES['a']: must be an object with url"),
        ('{"a": {"url": "http://x"}}', "POLYSYNC_WORKSPACES['a']: url must use https"),
        ('{"a": {"url": "x", "resourceId": 5}}', "POLYSYNC_WORKSPACES['a']: resourceId must be like /subscriptions"),
        ('{"a": {"url": "x", "resourceId": "/x"}}', "POLYSYNC_WORKSPACES['a']: resourceId must be like /subscriptions"),
    ],
)
def test_a_bad_workspace_is_named(listed: str, where: str) -> None:
    assert setting_problem(DATABRICKS_HOST="", POLYSYNC_WORKSPACES=listed).startswith(where)


def test_every_bad_workspace_is_named() -> None:
    found = setting_problems(
        DATABRICKS_HOST="", POLYSYNC_WORKSPACES='{"a": {"url": "http://x"}, "b": 5, "c": {"url": "z"}}'
    )
    assert [line.split(":")[0] for line in found] == ["POLYSYNC_WORKSPACES['a']", "POLYSYNC_WORKSPACES['b']"]


# --- numbers and schedules


@pytest.mark.parametrize(
    ("name", "field", "least", "most"),
    [
        ("POLYSYNC_STATUS_MAX_AGE_SECONDS", "status_max_age_seconds", 1, 3600),
        ("POLYSYNC_LOST_AFTER_MINUTES", "lost_after_minutes", 1, 43200),
        ("POLYSYNC_START_SETTLE_SECONDS", "start_settle_seconds", 0, 3600),
    ],
)
def test_a_number_has_its_range(name: str, field: str, least: int, most: int) -> None:
    for fine in (least, most):
        assert getattr(read_settings(**{name: str(fine)}), field) == fine
    for bad in (str(least - 1), str(most + 1), "x", "1.5", "1e2", "+5", "٣", "²", "5 s", "9" * 5000):
        assert setting_problem(**{name: bad}) == f"{name}: must be a whole number from {least} to {most}."


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("", "*/15 * * * * *"),
        ("*/30 * * * * *", "*/30 * * * * *"),
        (" 0 */5 * * * * ", "0 */5 * * * *"),
        ("0 30 9 * Jan Mon", "0 30 9 * Jan Mon"),
        ("0 0 9-17 1,15 * 1-5", "0 0 9-17 1,15 * 1-5"),
    ],
)
def test_a_schedule_is_used_as_it_is(given: str, used: str) -> None:
    assert sweep_schedule({"POLYSYNC_SWEEP_SCHEDULE": given}) == used
    assert read_settings(POLYSYNC_SWEEP_SCHEDULE=given).notes == ()


@pytest.mark.parametrize(
    "given",
    [
        "*/5 * * * *",
        "@hourly",
        "00:00:15",
        "60 * * * * *",
        "0 0 24 * * *",
        "0 0 0 31 2 *",
        "x y z a b c",
        "* * * * * * *",
    ],
)
def test_a_bad_schedule_falls_back_with_a_note(given: str) -> None:
    assert sweep_schedule({"POLYSYNC_SWEEP_SCHEDULE": given}) == "*/15 * * * * *"
    (note,) = read_settings(POLYSYNC_SWEEP_SCHEDULE=given).notes
    assert note.startswith("POLYSYNC_SWEEP_SCHEDULE is not an NCRONTAB schedule of six fields")
    assert "'*/15 * * * * *' is used instead" in note


@pytest.mark.parametrize("given", ["0 0 0 L * *", "0 0 0 15W * *", "0 0 0 * * 7", "R R R * * *", "0 0 0 * January *"])
def test_what_croniter_takes_and_ncrontab_does_not_falls_back(given: str) -> None:
    assert sweep_schedule({"POLYSYNC_SWEEP_SCHEDULE": given}) == "*/15 * * * * *"


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [("*/15 * * * * *", 15), ("0 */2 * * * *", 120), ("* * * * * *", 1), ("0 0 6 * * *", 86_400), ("odd", 15)],
)
def test_the_interval_of_the_sweep_is_that_of_its_schedule(schedule: str, seconds: int) -> None:
    assert read_settings(POLYSYNC_SWEEP_SCHEDULE=schedule).sweep_interval == timedelta(seconds=seconds)


@pytest.mark.parametrize("given", ["0", "-1", "1001", "many", "2.5"])
def test_a_bad_size_of_sweep_groups_is_named(given: str) -> None:
    problem = setting_problem(POLYSYNC_SWEEP_GROUP_WORKSPACES=given)
    assert problem == "POLYSYNC_SWEEP_GROUP_WORKSPACES: must be a whole number from 1 to 1000."


def test_the_queue_is_used_beyond_the_size_of_a_group_and_never_with_invalid_settings() -> None:
    workspaces = json.dumps({f"w{number}": {"url": f"https://adb-{number}.example.net"} for number in range(3)})
    environ = {"POLYSYNC_WORKSPACES": workspaces, "POLYSYNC_TABLES": "UseDevelopmentStorage=true"}
    assert not sweeps_in_groups(environ)
    assert not sweeps_in_groups(environ | {"POLYSYNC_SWEEP_GROUP_WORKSPACES": "3"})
    assert sweeps_in_groups(environ | {"POLYSYNC_SWEEP_GROUP_WORKSPACES": "2"})
    assert not sweeps_in_groups(environ | {"POLYSYNC_SWEEP_GROUP_WORKSPACES": "2", "POLYSYNC_TABLES": ""})
