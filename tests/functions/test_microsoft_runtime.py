"""The app on Microsoft's azure-functions-runtime, on Python 3.13+: the same functions and the same responses.

Each story is played twice in each mode: with the app on that runtime and with the app on local.host. Each app has a
simulated workspace of its own.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from local.entra import SimulatedEntra
from local.host import HostStartError, LocalHost
from local.host.functions import HostedFunction
from local.workspace import SimulatedWorkspace
from polysync_core.rules.wire.entra_settings import ENTRA
from tests.functions import stories
from tests.functions.app import (
    ROOT,
    WITH_KEY,
    Answer,
    ServedApp,
    environment,
    functions_in,
    send_to,
    settings_of,
    signed_in,
)
from tests.functions.bad_requests import BAD_REQUESTS, BadRequest
from tests.functions.microsoft_runtime.client import PYTHON, MicrosoftRuntime, RuntimeFailedError
from tests.functions.secrecy import check_told, told_of_settings

# The values that always differ between two servings, and their replacements, in this order. Ids are numbered as they
# appear.
NORMALISED = (
    ("address of the app", lambda app: re.escape(app.base_url), "http://app"),
    ("host of the app", lambda app: re.escape(app.base_url.partition("//")[2]), "app"),
    ("address of the workspace", lambda app: re.escape(app.databricks.url), "http://databricks"),
    ("name of the workspace", lambda app: re.escape(app.name), "workspace-name"),
    ("await token", lambda _: r"(?<=\?token=)[\w-]{43}", "TOKEN"),
    ("time", lambda _: r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME"),
    ("seconds since the start", lambda _: r'(?<="durationSeconds": )\d+\.\d+', "0"),
    ("seconds since the sweep", lambda _: r"\d+(?= s ago)", "0"),
    ("id of an update in a message", lambda _: r"(?<=Update )[0-9a-f]{6}(?= )", "SHORT"),
    ("continuation", lambda _: r'(?<="continuation": ")[\w=-]+', "CONTINUATION"),
)
ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def normalised(answers: list[Answer], app: ServedApp) -> list[tuple[int, str, str]]:
    """Return status, headers and body of each response, with the values replaced that always differ."""
    numbers: dict[str, str] = {}

    def told(text: str) -> str:
        for _, pattern_of, stand_in in NORMALISED:
            text = re.sub(pattern_of(app), stand_in, text)
        return ID.sub(lambda found: numbers.setdefault(found[0], f"ID-{len(numbers) + 1}"), text)

    return [
        (answer.status, told(json.dumps(dict(sorted(answer.headers.items())))), told(answer.body.decode()))
        for answer in answers
    ]


@pytest.fixture(scope="module", autouse=True)
def _there_is_a_runtime() -> None:
    """Skip the tests without a runtime. If CI is "true", fail instead."""
    if not PYTHON.exists():
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say("make setup found no Python 3.13 or newer, so there is no .venv-runtime with Microsoft's runtime")


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that run in Azure, and nothing else of this project."""
    folder = tmp_path_factory.mktemp("deployed")
    for name in ("function_app.py", "host.json"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "polysync_core", folder / "polysync_core", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="module")
def runtime(
    deployed: Path,
    azurite: str,
    mode: str,
    sign_in: dict[str, str],
    entra: SimulatedEntra,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[MicrosoftRuntime, ServedApp]]:
    with SimulatedWorkspace() as databricks:
        name = f"microsoft-{os.urandom(4).hex()}"
        environ = settings_of(azurite, name, databricks) | sign_in | {"POLYSYNC_CALLBACK_HOSTS": "127.0.0.1:9"}
        log = tmp_path_factory.mktemp("log") / "driver"
        with MicrosoftRuntime(deployed, environ, log) as runtime:
            yield (
                runtime,
                ServedApp(
                    base_url=runtime.base_url,
                    name=name,
                    databricks=databricks,
                    send=runtime.send,
                    fire=runtime.fire,
                    credential=signed_in(entra) if mode == ENTRA else WITH_KEY,
                ),
            )


@pytest.fixture(scope="module")
def microsoft(runtime: tuple[MicrosoftRuntime, ServedApp]) -> ServedApp:
    return runtime[1]


@pytest.fixture(scope="module")
def on_bad_settings(deployed: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MicrosoftRuntime]:
    """The app without the settings that it needs."""
    environ = {"POLYSYNC_SWEEP_SCHEDULE": "0 */2 * * * *"}
    with MicrosoftRuntime(deployed, environ, tmp_path_factory.mktemp("log") / "driver") as runtime:
        yield runtime


def test_the_function_table_is_that_of_the_local_host(
    runtime: tuple[MicrosoftRuntime, ServedApp], sign_in: dict[str, str]
) -> None:
    told = {function["name"]: _told_by_microsoft(function) for function in runtime[0].functions}
    assert told == {function.name: _told_by_local(function) for function in functions_in(sign_in)}
    assert len(told) == len(runtime[0].functions)
    assert "sweep_group" not in told, "no queue without need"


def _told_by_microsoft(function: dict[str, Any]) -> dict[str, Any]:
    """Return a function's trigger, after a check that its two descriptions agree."""
    trigger, *others = function["bindings"]
    declared = {binding["name"]: {"type": binding["type"], "direction": binding["direction"]} for binding in others}
    assert function["declared"].pop(trigger["name"]) == {"type": trigger["type"], "direction": 0}
    if trigger["type"] == "timerTrigger":
        assert declared == function["declared"] == {}
        return {"parameter": trigger["name"], "schedule": trigger["schedule"]}
    assert declared == {"$return": {"type": "http", "direction": "OUT"}}
    assert function["declared"] == {"$return": {"type": "http", "direction": 1}}
    return {
        "parameter": trigger["name"],
        "route": trigger["route"],
        "methods": frozenset(trigger["methods"]),
        "auth_level": trigger["authLevel"].lower(),
    }


def _told_by_local(function: HostedFunction) -> dict[str, Any]:
    return {"parameter": function.parameter, **asdict(function.trigger)}


@pytest.mark.parametrize("story", stories.STORIES, ids=lambda story: story.__name__)
def test_a_story_goes_the_same_way(
    story: Callable[[ServedApp], list[Answer]], microsoft: ServedApp, app: ServedApp
) -> None:
    assert normalised(story(microsoft), microsoft) == normalised(story(app), app)


@pytest.mark.parametrize("bad", BAD_REQUESTS, ids=lambda bad: bad.reason)
def test_a_bad_request_gets_the_same_problem(bad: BadRequest, microsoft: ServedApp, app: ServedApp) -> None:
    answers = [bad.send(each) for each in (microsoft, app)]
    assert {(answer.status, answer.json["code"]) for answer in answers} == {bad.expected(app.credential.mode)}
    assert normalised([answers[0]], microsoft) == normalised([answers[1]], app)


def test_without_settings_every_function_answers_the_same_503(on_bad_settings: MicrosoftRuntime) -> None:
    with environment({}), LocalHost(ROOT, timers=False) as host:
        send = send_to(host)
        for function in on_bad_settings.functions:
            trigger = function["bindings"][0]
            if trigger["type"] == "timerTrigger":
                with pytest.raises(RuntimeFailedError, match="SettingsError: DATABRICKS_HOST: is missing"):
                    on_bad_settings.fire(function["name"])
                continue
            if function["name"] in {"alive", "openapi", "page", "page_file"}:
                address = f"/api/{trigger['route'].replace('{file}', 'app.js')}"
                assert on_bad_settings.send("GET", address, {}, b"").status == 200
                continue
            address = "/api/" + re.sub(r"\{\w+\}", "p1:u1", trigger["route"])
            answers = [serve(trigger["methods"][0], address, {}, b"") for serve in (on_bad_settings.send, send)]
            assert answers[0] == answers[1]
            told = told_of_settings(answers[0], function["name"])
            assert re.findall(r"([A-Z_]{10,}): ", told) == ["DATABRICKS_HOST", "POLYSYNC_TABLES"]
    assert "sweep_runs: DATABRICKS_HOST: is missing" in on_bad_settings.log


def test_a_sweep_that_failed_as_a_whole_is_a_failed_invocation_and_the_next_one_is_not(
    runtime: tuple[MicrosoftRuntime, ServedApp], microsoft: ServedApp
) -> None:
    pipeline_id = microsoft.databricks.add_pipeline()
    run = microsoft.run(pipeline_id)
    microsoft.databricks.add_fault("reset", times=None)
    with pytest.raises(RuntimeFailedError, match="AllWorkspacesFailed: It failed in every workspace") as told:
        microsoft.fire("sweep_runs")
    assert microsoft.databricks.url not in str(told.value)
    microsoft.databricks.clear_faults()
    microsoft.databricks.set_state(pipeline_id, None, "COMPLETED")
    microsoft.fire("sweep_runs")
    assert microsoft.get(run).json["status"] == "Success"
    assert runtime[0].log.count("sweep_runs: It failed in every workspace") == 1


def test_storage_that_is_away_fails_an_invocation_and_its_trace_shows_no_key(
    deployed: Path, tmp_path: Path, microsoft: ServedApp
) -> None:
    nowhere = f"AccountName=a;AccountKey={'a2V5' * 22};TableEndpoint=http://127.0.0.1:9/a"
    environ = settings_of(nowhere, "w", microsoft.databricks)
    with MicrosoftRuntime(deployed, environ, tmp_path / "log") as away:
        for name in ("sweep_runs", "deliver_callbacks", "discover_on_schedule"):
            with pytest.raises(RuntimeFailedError) as told:
                away.fire(name)
            assert "Table Storage" in str(told.value) or "last sweep could not be read" in str(told.value)
            for secret in ("a2V5", "127.0.0.1:9", "direct cause"):
                assert secret not in str(told.value)


def test_the_schedule_of_the_sweep_is_read_when_the_app_is_indexed(on_bad_settings: MicrosoftRuntime) -> None:
    schedules = {function["name"]: function["bindings"][0].get("schedule") for function in on_bad_settings.functions}
    assert schedules["sweep_runs"] == "0 */2 * * * *"


def test_the_log_on_that_runtime_leaks_no_secret(
    runtime: tuple[MicrosoftRuntime, ServedApp], microsoft: ServedApp
) -> None:
    stories.a_run_that_fails(microsoft)
    log = runtime[0].log
    assert "sweep: workspaces=1" in log
    assert re.search(r"^DEBUG ", log, re.MULTILINE), "the root logger lets everything through"
    assert not re.search(r"^(DEBUG|INFO) (azure\.(core|data|identity)|msal|urllib3)", log, re.MULTILINE)
    check_told(log)


def test_every_log_line_carries_its_invocation_also_from_the_apps_own_threads(
    runtime: tuple[MicrosoftRuntime, ServedApp], microsoft: ServedApp
) -> None:
    stories.a_run_that_fails(microsoft)
    called_back, other = microsoft.databricks.add_pipelines(2)
    microsoft.start(called_back, {"callbackUrl": "http://127.0.0.1:9/nobody-listens"})
    microsoft.databricks.set_state(called_back, None, "COMPLETED")
    microsoft.fire("sweep_runs")
    microsoft.fire("deliver_callbacks")
    microsoft.start(other)
    microsoft.databricks.add_fault("status", status=500, method="GET", times=None)
    microsoft.fire("sweep_runs")
    microsoft.databricks.clear_faults()
    log = runtime[0].log
    assert re.search(r"^WARNING polysync\.deliver: \[invocation\] callback ", log, re.MULTILINE), (
        "of a delivering thread"
    )
    assert re.search(r"^WARNING polysync\.sweep: \[invocation\] run ", log, re.MULTILINE), "of a thread of the sweep"
    assert "NO INVOCATION" not in log


def test_the_local_host_refuses_a_parameter_that_no_binding_names_as_microsoft_does(tmp_path: Path) -> None:
    app = "import azure.functions as func\napp = func.FunctionApp()\n@app.route('x')\n"
    (tmp_path / "function_app.py").write_text(
        f"{app}def f(req: func.HttpRequest, more: int = 1) -> str:\n    return ''\n"
    )
    with pytest.raises(RuntimeFailedError, match="more"), MicrosoftRuntime(tmp_path, {}, tmp_path / "log"):
        pass
    with pytest.raises(HostStartError, match="more"):
        LocalHost(tmp_path)


def test_groups_of_workspaces_go_through_the_queue_binding(deployed: Path, azurite: str, tmp_path: Path) -> None:
    with SimulatedWorkspace() as first, SimulatedWorkspace(issuer=first.issuer) as second:
        environ = settings_of(azurite, "first", first, {"second": second}) | {"POLYSYNC_SWEEP_GROUP_WORKSPACES": "1"}
        with MicrosoftRuntime(deployed, environ, tmp_path / "driver") as grouped:
            bindings = {function["name"]: function["bindings"] for function in grouped.functions}
            (trigger,) = bindings["sweep_group"]
            assert (trigger["type"], trigger["queueName"]) == ("queueTrigger", "polysync-sweeps")
            assert trigger["connection"] == "AzureWebJobsStorage"
            pipeline_id = second.add_pipeline()
            start = f"/api/pipelines/{pipeline_id}/updates?workspace=second"
            assert grouped.send("POST", start, {}, b"").status == 202
            messages = grouped.run_timer("sweep_runs")["groups"]
            assert [json.loads(message)["workspaces"] for message in messages] == [["first"], ["second"]]
            second.set_state(pipeline_id, None, "COMPLETED")
            for message in messages:
                grouped.deliver("sweep_group", message, {"Id": "1", "DequeueCount": 1})
            grouped.deliver("sweep_group", "nonsense", {"Id": "2", "DequeueCount": 1})
            runs = json.loads(grouped.send("GET", "/api/runs?workspace=second", {}, b"").body)["items"]
            assert [run["status"] for run in runs] == ["Success"]
            assert "names workspaces that are not known: 'nonsense'" in grouped.log
