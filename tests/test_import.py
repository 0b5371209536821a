"""What an import of function_app leaves for later, so that a cold start is short. bench/imports.py measures it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DEPLOYED = {
    "DATABRICKS_HOST": "http://127.0.0.1:9",
    "POLYSYNC_TABLES": "DefaultEndpointsProtocol=http;AccountName=a;AccountKey=YQ==;TableEndpoint=http://127.0.0.1:9/a",
    "POLYSYNC_SWEEP_SCHEDULE": "*/15 * * * * *",  # as local.settings.sample.json sets it
}
SCHEDULES = """
triggers = [function.get_trigger() for function in function_app.app.get_functions()]
print([trigger.schedule for trigger in triggers if trigger.type == "timerTrigger"])
"""


def _after_import(code: str, environ: Mapping[str, str] = DEPLOYED) -> str:
    """What `code` prints in a new interpreter that has imported function_app and sys."""
    unset = {name: value for name, value in os.environ.items() if not name.startswith(("POLYSYNC_", "DATABRICKS_"))}
    command = [sys.executable, "-c", f"import sys, function_app\n{code}"]
    ran = subprocess.run(command, cwd=ROOT, env={**unset, **environ}, check=True, capture_output=True, text=True)
    return ran.stdout.strip()


@pytest.mark.parametrize(
    ("module", "first_use"),
    [
        ("azure.identity", "the first token"),
        ("jwt", "the first call of a caller who signs in"),
        ("croniter", "a schedule that is not the default"),
        ("polysync_core.rules.wire.openapi", "the first request of the OpenAPI document"),
        ("polysync_core.endpoints.job_endpoints", "the first request about jobs, or the discovery timer"),
        ("polysync_core.endpoints.event_endpoints", "the first request of a run's events"),
        ("polysync_core.use_cases.events", "the first request of a run's events"),
        ("polysync_core.use_cases.discovering", "the first request about jobs, or the discovery timer"),
        ("polysync_core.endpoints.page_endpoints", "the first request for the page, whose files are read then"),
        ("polysync_core.use_cases.listing", "the first list of all workspaces"),
    ],
)
def test_a_module_is_imported_on_its_first_use(module: str, first_use: str) -> None:
    assert _after_import(f"print({module!r} in sys.modules)") == "False", first_use


def test_without_a_set_up_telemetry_is_imported_by_nobody_also_not_when_calls_are_made() -> None:
    """The health makes calls to storage, to Entra ID and, with a token, to Databricks. None of them gets an answer."""
    code = """
import azure.functions as func
from local.host.functions import load_functions
from local.host.runner import InvocationContext
request = func.HttpRequest("GET", "http://127.0.0.1:7071/api/health", body=b"")
context = InvocationContext("health", {})
health = next(function.call for function in load_functions(function_app.app) if function.name == "health")
reply = health(request, context)
print(reply.status_code, any(name.startswith("opentelemetry") for name in sys.modules))
"""
    nobody = {"IDENTITY_ENDPOINT": "http://127.0.0.1:9/token", "IDENTITY_HEADER": "x"}
    assert _after_import(code, DEPLOYED | nobody) == "503 False"


def test_no_model_of_a_body_is_built() -> None:
    ours = "[m for m in BaseModel.__subclasses__() if m.__module__.startswith('polysync_core')]"
    built = _after_import(
        f"from pydantic import BaseModel\nprint([(m.__name__, m.__pydantic_complete__) for m in {ours}])"
    )
    assert "('StartBody', False)" in built
    assert "True" not in built


def test_invalid_settings_do_not_stop_the_import() -> None:
    bad = {"DATABRICKS_HOST": "not an address", "POLYSYNC_SWEEP_SCHEDULE": "every minute", "POLYSYNC_TABEL": "x"}
    assert _after_import(SCHEDULES, bad) == "['*/15 * * * * *', '5,20,35,50 * * * * *', '0 0 * * * *']"


def test_another_valid_schedule_is_used() -> None:
    given = {**DEPLOYED, "POLYSYNC_SWEEP_SCHEDULE": "*/20 * * * * *"}
    assert _after_import(SCHEDULES, given).startswith("['*/20 * * * * *'")
