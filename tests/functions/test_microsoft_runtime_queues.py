"""Queue functions and queue outputs on Microsoft's azure-functions-runtime, and the same on local.host."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.host import HostStartError, LocalHost
from tests.functions.microsoft_runtime.client import PYTHON, MicrosoftRuntime, RuntimeFailedError

APP = """
import json
import typing

import azure.functions as func

app = func.FunctionApp()


@app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer")
@app.queue_output(arg_name="outbox", queue_name="work", connection="AzureWebJobsStorage")
def tick(timer: func.TimerRequest, outbox: func.Out[typing.List[str]]) -> None:
    outbox.set(["one", "two"])


@app.queue_trigger(arg_name="message", queue_name="work", connection="AzureWebJobsStorage")
@app.queue_output(arg_name="outbox", queue_name="seen", connection="AzureWebJobsStorage")
def work(message: func.QueueMessage, outbox: func.Out[str]) -> None:
    times = [message.insertion_time, message.expiration_time, message.time_next_visible]
    outbox.set(json.dumps({
        "body": message.get_body().decode(),
        "id": message.id,
        "receipt": message.pop_receipt,
        "count": message.dequeue_count,
        "times": [time.isoformat() for time in times],
    }))
"""


@pytest.fixture(autouse=True)
def _there_is_a_runtime() -> None:
    """Skip the tests without a runtime. If CI is "true", fail instead."""
    if not PYTHON.exists():
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say("make setup found no Python 3.13 or newer, so there is no .venv-runtime with Microsoft's runtime")


def test_a_queue_function_sees_the_message_and_outputs_come_back(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(APP)
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    times = [datetime(2026, 11, day, 10, 30, 5, tzinfo=UTC).isoformat() for day in (1, 8, 2)]
    names = ("InsertionTime", "ExpirationTime", "NextVisibleTime")
    metadata: dict[str, str | int] = {"Id": "an-id", "PopReceipt": "a-receipt", "DequeueCount": 3}
    with MicrosoftRuntime(tmp_path, {}, tmp_path / "log") as runtime:
        assert runtime.run_timer("tick") == {"outbox": ["one", "two"]}
        outputs = runtime.deliver("work", "ü", {**metadata, **dict(zip(names, times, strict=True))})
    [text] = outputs["outbox"]
    assert json.loads(text) == {"body": "ü", "id": "an-id", "receipt": "a-receipt", "count": 3, "times": times}


def test_both_refuse_the_built_in_list_as_the_type_of_an_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "function_app.py").write_text(APP.replace("typing.List[str]", "list[str]"))
    monkeypatch.setenv("AzureWebJobsStorage", "UseDevelopmentStorage=true")
    with pytest.raises(HostStartError, match="the type of outbox"):
        LocalHost(tmp_path)
    with (
        pytest.raises(RuntimeFailedError, match="binding outbox has invalid non-type annotation"),
        MicrosoftRuntime(tmp_path, {}, tmp_path / "log"),
    ):
        pass
