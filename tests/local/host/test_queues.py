"""The local host's queue triggers and queue outputs, with a real queue service."""

import json
import queue
import socket
import threading
import time
import typing
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
import requests
from azure.core.exceptions import AzureError
from azure.storage.queue import QueueClient, TextBase64DecodePolicy, TextBase64EncodePolicy

from local.azurite import Azurite
from local.host import HostStartError, LocalHost, load_functions

STORAGE = "AzureWebJobsStorage"
FAST = {"maxPollingInterval": "00:00:00.100", "maxDequeueCount": 2}
Texts = typing.List[str]  # noqa: UP006  (the worker does not know list[str])


@pytest.fixture(scope="module")
def azurite() -> Iterator[Azurite]:
    with Azurite(queue=True) as running:
        yield running


@pytest.fixture(autouse=True)
def _storage(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(STORAGE, azurite.connection_string)


@pytest.fixture
def name() -> str:
    return f"work-{uuid.uuid4().hex}"


@pytest.fixture
def sent(azurite: Azurite, name: str) -> Iterator[QueueClient]:
    """The queue `name`, as another program sees it."""
    with open_queue(azurite, name) as client:
        client.create_queue()
        yield client


def open_queue(azurite: Azurite, name: str) -> QueueClient:
    return QueueClient.from_connection_string(
        azurite.connection_string,
        name,
        message_encode_policy=TextBase64EncodePolicy(),
        message_decode_policy=TextBase64DecodePolicy(),
    )


def settings_folder(tmp_path: Path, **settings: object) -> Path:
    (tmp_path / "host.json").write_text(json.dumps({"extensions": {"queues": FAST | settings}}))
    return tmp_path


def queue_app(name: str, handle: Callable[[func.QueueMessage], None]) -> func.FunctionApp:
    """An app whose queue function `work` calls `handle`, and whose timer function `tick` fills its queue."""
    app = func.FunctionApp()

    @app.queue_trigger(arg_name="message", queue_name=name, connection=STORAGE)
    def work(message: func.QueueMessage) -> None:
        handle(message)

    @app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer")
    @app.queue_output(arg_name="outbox", queue_name=name, connection=STORAGE)
    def tick(timer: func.TimerRequest, outbox: func.Out[Texts]) -> None:
        outbox.set(["early"])
        assert outbox.get() == ["early"]
        outbox.set(["one", '{"two": 2}', "drei ü"])

    return app


def output_app(value: Any, connection: str = STORAGE, name: str = "unused") -> func.FunctionApp:
    app = func.FunctionApp()

    @app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer")
    @app.queue_output(arg_name="outbox", queue_name=name, connection=connection)
    def tick(timer: func.TimerRequest, outbox: func.Out[str]) -> None:
        outbox.set(value)

    return app


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen within 10 seconds"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def content(client: QueueClient) -> list[str]:
    return [str(message.content) for message in client.peek_messages(max_messages=32)]


class TestOutputs:
    def test_a_list_from_a_timer_reaches_the_queue_function_as_one_message_each(
        self, name: str, tmp_path: Path, azurite: Azurite
    ) -> None:
        seen: queue.Queue[str] = queue.Queue()
        app = queue_app(name, lambda message: seen.put(message.get_body().decode()))
        with LocalHost(settings_folder(tmp_path), app=app, timers=False) as host:
            host.fire("tick")
            assert {seen.get(timeout=5) for _ in range(3)} == {"one", '{"two": 2}', "drei ü"}
        with open_queue(azurite, name) as client:
            assert client.get_queue_properties().approximate_message_count == 0

    def test_an_output_ends_the_pause_of_this_hosts_listener(self, name: str, tmp_path: Path) -> None:
        seen: queue.Queue[bytes] = queue.Queue()
        folder = settings_folder(tmp_path, maxPollingInterval="01:00:00")
        with LocalHost(folder, app=queue_app(name, lambda message: seen.put(message.get_body()))) as host:
            time.sleep(1)  # the pauses double: 0.1, 0.2, 0.4, 0.8 and 1.6 seconds
            host.fire("tick")
            seen.get(timeout=0.4)

    @pytest.mark.parametrize(
        ("value", "messages"),
        [
            (None, []),
            ("", [""]),
            ("text", ["text"]),
            ('["a", {"b": 1}]', ["a", '{"b": 1}']),
            ('{"a": 1}', ['{"a": 1}']),
        ],
    )
    def test_a_text_is_one_message_unless_it_is_a_json_array(
        self, name: str, sent: QueueClient, value: str | None, messages: list[str]
    ) -> None:
        with LocalHost(app=output_app(value, name=name)) as host:
            host.fire("tick")
        assert content(sent) == messages

    def test_without_the_encoding_the_text_itself_is_stored(self, name: str, azurite: Azurite, tmp_path: Path) -> None:
        with LocalHost(settings_folder(tmp_path, messageEncoding="none"), app=output_app("text", name=name)) as host:
            host.fire("tick")
        with QueueClient.from_connection_string(azurite.connection_string, name) as client:
            assert content(client) == ["text"]

    def test_a_function_that_fails_writes_nothing(self, name: str, sent: QueueClient) -> None:
        app = func.FunctionApp()

        @app.route(route="x")
        @app.queue_output(arg_name="outbox", queue_name=name, connection=STORAGE)
        def handle(req: func.HttpRequest, outbox: func.Out[str]) -> str:
            outbox.set("text")
            if req.params:
                raise RuntimeError("on purpose")
            return "ok"

        with LocalHost(app=app) as host:
            assert requests.get(f"{host.url}/api/x?fail=1", timeout=10).status_code == 500
            assert content(sent) == []
            assert requests.get(f"{host.url}/api/x", timeout=10).text == "ok"
            assert content(sent) == ["text"]

    @pytest.mark.parametrize("value", [1, [1], b"bytes"])
    def test_what_is_no_text_fails_the_invocation(self, value: object) -> None:
        with LocalHost(app=output_app(value)) as host, pytest.raises(TypeError, match="queue output"):
            host.fire("tick")

    def test_a_failing_write_is_logged_as_a_failure_of_the_function(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, azurite: Azurite
    ) -> None:
        away = azurite.connection_string.replace(f":{azurite.queue_port}/", f":{free_port()}/")
        monkeypatch.setenv("AWAY", away)
        with caplog.at_level("INFO"), LocalHost(app=output_app("text", "AWAY")) as host:
            with pytest.raises(AzureError):
                host.fire("tick")
            requests.post(f"{host.url}/admin/functions/tick", json={"input": ""}, timeout=10)
        assert "tick failed" in caplog.text
        assert "tick succeeded" not in caplog.text


class TestMessages:
    def test_a_function_sees_what_the_queue_knows_of_the_message(
        self, name: str, tmp_path: Path, sent: QueueClient
    ) -> None:
        seen: queue.Queue[func.QueueMessage] = queue.Queue()
        known = sent.send_message('{"a": "ü"}')
        with LocalHost(settings_folder(tmp_path), app=queue_app(name, seen.put)):
            message: Any = seen.get(timeout=5)
        assert message.get_json() == {"a": "ü"}
        assert (message.id, message.dequeue_count) == (known.id, 1)
        assert message.pop_receipt
        assert message.insertion_time == known.inserted_on
        assert message.expiration_time == known.expires_on
        assert timedelta(minutes=9) < message.time_next_visible - datetime.now(UTC) < timedelta(minutes=10)

    def test_a_message_that_keeps_failing_is_retried_and_ends_in_the_poison_queue(
        self, name: str, tmp_path: Path, sent: QueueClient, azurite: Azurite
    ) -> None:
        tries: queue.Queue[int | None] = queue.Queue()

        def fail(message: func.QueueMessage) -> None:
            tries.put(message.dequeue_count)
            raise RuntimeError("on purpose")

        sent.send_message("bad")
        with (
            open_queue(azurite, f"{name}-poison") as poison,
            LocalHost(settings_folder(tmp_path), app=queue_app(name, fail)),
        ):
            assert [tries.get(timeout=5) for _ in range(2)] == [1, 2]
            wait_until(lambda: sent.get_queue_properties().approximate_message_count == 0)
            assert content(poison) == ["bad"]
        assert tries.empty()

    def test_after_its_last_try_a_message_moves_at_once(
        self, name: str, tmp_path: Path, sent: QueueClient, azurite: Azurite
    ) -> None:
        def fail(message: func.QueueMessage) -> None:
            raise RuntimeError("on purpose")

        sent.send_message("bad")
        folder = settings_folder(tmp_path, maxDequeueCount=1, visibilityTimeout="00:01:00")
        with open_queue(azurite, f"{name}-poison") as poison, LocalHost(folder, app=queue_app(name, fail)):
            wait_until(lambda: sent.get_queue_properties().approximate_message_count == 0)
            assert content(poison) == ["bad"]

    def test_a_message_whose_tries_ended_with_their_hosts_is_not_tried_again(
        self, name: str, tmp_path: Path, sent: QueueClient, azurite: Azurite
    ) -> None:
        seen: queue.Queue[func.QueueMessage] = queue.Queue()
        sent.send_message("kills its host")
        for _ in range(2):
            message = sent.receive_message()
            assert message
            sent.update_message(message, visibility_timeout=0)
        folder = settings_folder(tmp_path)
        with open_queue(azurite, f"{name}-poison") as poison, LocalHost(folder, app=queue_app(name, seen.put)):
            wait_until(lambda: sent.get_queue_properties().approximate_message_count == 0)
            assert content(poison) == ["kills its host"]
        assert seen.empty()

    def test_a_failed_message_waits_for_the_visibility_timeout(
        self, name: str, tmp_path: Path, sent: QueueClient
    ) -> None:
        tried_at: queue.Queue[float] = queue.Queue()

        def fail(message: func.QueueMessage) -> None:
            tried_at.put(time.monotonic())
            raise RuntimeError("on purpose")

        sent.send_message("bad")
        with LocalHost(settings_folder(tmp_path, visibilityTimeout="00:00:01"), app=queue_app(name, fail)):
            first, second = (tried_at.get(timeout=5) for _ in range(2))
        assert second - first > 0.8

    def test_a_message_that_is_not_base64_goes_to_the_poison_queue_at_once(
        self, name: str, tmp_path: Path, sent: QueueClient, azurite: Azurite
    ) -> None:
        seen: queue.Queue[func.QueueMessage] = queue.Queue()
        with QueueClient.from_connection_string(azurite.connection_string, name) as plain:
            plain.send_message("not base64!")
        with (
            QueueClient.from_connection_string(azurite.connection_string, f"{name}-poison") as poison,
            LocalHost(settings_folder(tmp_path), app=queue_app(name, seen.put)),
        ):
            wait_until(lambda: sent.get_queue_properties().approximate_message_count == 0)
            assert content(poison) == ["not base64!"]
        assert seen.empty()

    def test_a_running_message_is_invisible_to_a_second_host(
        self, name: str, tmp_path: Path, sent: QueueClient
    ) -> None:
        handled: queue.Queue[str] = queue.Queue()
        all_run = threading.Barrier(5)  # each host runs two at once, so both take part

        def hold(message: func.QueueMessage) -> None:
            handled.put(message.get_body().decode())
            all_run.wait(10)

        functions = load_functions(queue_app(name, hold))
        folder = settings_folder(tmp_path, batchSize=1, newBatchThreshold=1)
        with LocalHost(folder, functions=functions), LocalHost(folder, functions=functions):
            for number in range(4):
                sent.send_message(str(number))
            wait_until(lambda: handled.qsize() == 4)
            time.sleep(0.3)  # both hosts look again
            all_run.wait(10)
            wait_until(lambda: sent.get_queue_properties().approximate_message_count == 0)
        assert sorted(handled.queue) == list("0123")

    def test_no_more_run_at_once_than_a_batch_and_the_threshold(
        self, name: str, tmp_path: Path, sent: QueueClient
    ) -> None:
        begun, may_end = threading.Semaphore(0), threading.Semaphore(0)

        def hold(message: func.QueueMessage) -> None:
            begun.release()
            may_end.acquire(timeout=10)

        for number in range(4):
            sent.send_message(str(number))
        folder = settings_folder(tmp_path, batchSize=2, newBatchThreshold=1)
        with LocalHost(folder, app=queue_app(name, hold)):
            assert begun.acquire(timeout=5)
            assert begun.acquire(timeout=5)
            assert not begun.acquire(timeout=0.3)
            may_end.release()
            assert begun.acquire(timeout=5)  # one still runs, so the next batch may come
            may_end.release(3)

    def test_stop_waits_for_a_running_message_and_deletes_it(
        self, name: str, tmp_path: Path, sent: QueueClient
    ) -> None:
        begun, may_end = threading.Event(), threading.Event()

        def hold(message: func.QueueMessage) -> None:
            begun.set()
            may_end.wait(10)

        sent.send_message("slow")
        host = LocalHost(settings_folder(tmp_path), app=queue_app(name, hold)).start()
        assert begun.wait(5)
        threading.Timer(0.2, may_end.set).start()
        assert host.stop()
        assert sent.get_queue_properties().approximate_message_count == 0

    def test_without_queues_nothing_is_received_but_a_message_can_be_given_by_hand(
        self, name: str, tmp_path: Path, sent: QueueClient
    ) -> None:
        seen: queue.Queue[func.QueueMessage] = queue.Queue()
        sent.send_message("waits")
        with LocalHost(settings_folder(tmp_path), app=queue_app(name, seen.put), queues=False) as host:
            address = f"{host.url}/admin/functions/work"
            assert requests.post(address, json={"input": [1]}, timeout=10).status_code == 400
            assert requests.post(address, json={"input": "by hand"}, timeout=10).status_code == 202
            message = seen.get(timeout=5)
            assert (message.get_body(), message.id, message.dequeue_count) == (b"by hand", None, 0)
            host.fire("work", "again")
            assert seen.get_nowait().get_body() == b"again"
            assert ["work", "queue", name] in [line.split() for line in host.describe()]
        assert content(sent) == ["waits"]


class TestStorage:
    def test_storage_that_is_away_at_first_is_logged_once_and_then_used(
        self, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        seen: queue.Queue[bytes] = queue.Queue()
        late = Azurite(free_port(), queue=True, queue_port=free_port())
        monkeypatch.setenv(STORAGE, late.connection_string)
        app = queue_app(name, lambda message: seen.put(message.get_body()))
        with caplog.at_level("INFO"), LocalHost(settings_folder(tmp_path), app=app):
            wait_until(lambda: "cannot be read" in caplog.text)
            time.sleep(1)  # it tries again
            with late:
                wait_until(lambda: "can be read again" in caplog.text)
                with open_queue(late, name) as client:
                    client.send_message("late")
                assert seen.get(timeout=5) == b"late"
                wait_until(lambda: "work succeeded" in caplog.text)
        assert caplog.text.count("cannot be read") <= 2  # once at first, and perhaps once after the end of `late`


class TestStartUpErrors:
    @pytest.mark.parametrize(
        ("setting", "value", "message"),
        [
            ("batchSize", 33, "batchSize must be a whole number from 1 to 32"),
            ("batchSize", True, "batchSize"),
            ("newBatchThreshold", -1, "newBatchThreshold"),
            ("maxDequeueCount", 0, "maxDequeueCount"),
            ("maxPollingInterval", "00:00:00.050", r"at least 00:00:00\.100"),
            ("maxPollingInterval", 2, "a time span"),
            ("visibilityTimeout", "soon", "visibilityTimeout must be a time span"),
            ("messageEncoding", "utf-8", "base64 or none"),
            ("batchsize", 1, "no setting batchsize"),
        ],
    )
    def test_a_setting_that_the_host_refuses(self, tmp_path: Path, setting: str, value: object, message: str) -> None:
        with pytest.raises(HostStartError, match=message):
            LocalHost(settings_folder(tmp_path, **{setting: value}), app=output_app("text"))

    @pytest.mark.parametrize(
        ("app", "message"),
        [
            (output_app("x", "NO_SUCH_STORAGE"), "tick: .* connection setting NO_SUCH_STORAGE, which is not set"),
            (output_app("x", "BAD_STORAGE"), "tick: the setting BAD_STORAGE is not usable"),
            (output_app("x", name="Bad_Name"), "tick: 'bad_name' is not a name of a queue"),
            (output_app("x", name="%NO_SUCH_NAME%"), "tick: its queue names %NO_SUCH_NAME%, which is not set"),
        ],
    )
    def test_a_binding_whose_settings_are_not_usable(
        self, app: func.FunctionApp, message: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("BAD_STORAGE", "no connection string")
        with pytest.raises(HostStartError, match=message):
            LocalHost(app=app)

    def test_an_output_that_is_not_a_parameter(self) -> None:
        app = func.FunctionApp()

        @app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer")
        @app.queue_output(arg_name="outbox", queue_name="any", connection=STORAGE)
        def tick(timer: func.TimerRequest) -> None: ...

        with pytest.raises(HostStartError, match="the parameters must be 'timer', 'outbox' and"):
            LocalHost(app=app)

    @pytest.mark.parametrize("kind", [func.Out[list[str]], func.Out[bytes], str])
    def test_a_type_that_the_worker_or_this_host_does_not_take(self, kind: Any) -> None:
        app = func.FunctionApp()

        @app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer")
        @app.queue_output(arg_name="outbox", queue_name="any", connection=STORAGE)
        def tick(timer: func.TimerRequest, outbox: kind) -> None: ...

        with pytest.raises(HostStartError, match=r"the type of outbox must be .*typing\.List\[str\]"):
            LocalHost(app=app)

    def test_a_name_of_a_queue_may_come_from_a_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WORK_QUEUE", "work-items")
        host = LocalHost(app=queue_app("%WORK_QUEUE%", print), queues=False).start()
        host.stop()
        assert ["work", "queue", "work-items"] in [line.split() for line in host.describe()]
