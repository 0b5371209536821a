import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
import requests

from local.host import HostStartError, LocalHost, load_functions
from local.host.config import apply_local_settings
from local.host.schedules import Schedule

SAMPLE = Path(__file__).parent / "host_app"
ROOT = Path(__file__).parents[2]
KEY = "a-key"
FIRE = {"input": ""}


@pytest.fixture(scope="module")
def host() -> Iterator[LocalHost]:
    with LocalHost(SAMPLE, timers=False) as running:
        yield running


@pytest.fixture(scope="module")
def locked() -> Iterator[LocalHost]:
    with LocalHost(SAMPLE, key=KEY, timers=False) as running:
        yield running


def raw_exchange(host: LocalHost, *parts: bytes) -> bytes:
    """Send each part, the later ones after something was answered; everything that came back until the close."""
    port = int(host.url.rpartition(":")[2])
    answered = b""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        for part in parts:
            connection.sendall(part)
            answered += connection.recv(65536)
        while piece := connection.recv(65536):
            answered += piece
    return answered


def timer_app(schedule: str, call: Callable[[], None], name: str = "tick") -> func.FunctionApp:
    app = func.FunctionApp()

    @app.function_name(name)
    @app.timer_trigger(schedule=schedule, arg_name="timer")
    def tick(timer: func.TimerRequest) -> None:
        call()

    return app


def http_app(*routes: tuple[str, str, str]) -> func.FunctionApp:
    """An app of functions (name, method, route)."""
    app = func.FunctionApp()
    for name, method, route in routes:

        def handle(req: func.HttpRequest) -> str:
            return "ok"

        app.function_name(name)(app.route(route=route, methods=[method])(handle))
    return app


class TestWhatAFunctionSees:
    def test_route_values_are_decoded_and_literals_match_in_any_case(self, host: LocalHost) -> None:
        seen = requests.get(f"{host.url}/API/Echo/a%3Ab%20c%2Fd", timeout=10).json()
        assert seen["route"] == {"name": "a:b c%2Fd"}
        assert seen["url"] == f"{host.url}/API/Echo/a:b%20c%2Fd"

    def test_empty_query_values_are_dropped_and_repeated_ones_joined(self, host: LocalHost) -> None:
        seen = requests.get(f"{host.url}/api/echo/x?a=1&A=2&b=&c=%20+%26", timeout=10).json()
        assert seen["query"] == {"a": "1,2", "c": "  &"}
        assert seen["url"].endswith("/api/echo/x?a=1&A=2&b=&c=%20+%26")

    def test_header_names_are_lower_case_and_repeated_ones_joined(self, host: LocalHost) -> None:
        answer = raw_exchange(
            host, b"GET /api/echo/x HTTP/1.1\r\nHost: h:1\r\nX-Two: 1\r\nx-TWO: 2\r\nConnection: close\r\n\r\n"
        )
        seen = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert seen["headers"]["x-two"] == "1,2"
        assert seen["url"] == "http://h:1/api/echo/x"

    def test_a_chunked_body_arrives_whole(self, host: LocalHost) -> None:
        seen = requests.post(f"{host.url}/api/echo/x", data=iter([b"one ", b"two"]), timeout=10).json()
        assert (seen["method"], seen["body"]) == ("POST", "one two")

    def test_a_post_without_any_body_is_fine(self, host: LocalHost) -> None:
        answer = raw_exchange(host, b"POST /api/echo/x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["body"] == ""

    def test_a_client_that_waits_for_100_continue_gets_it(self, host: LocalHost) -> None:
        head = b"PUT /api/mirror HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n"
        answer = raw_exchange(host, head + b"Connection: close\r\n\r\n", b"body")
        assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 ")
        assert answer.endswith(b"\r\n\r\nbody")

    def test_an_async_function_gets_its_context(self, host: LocalHost) -> None:
        answer = requests.get(f"{host.url}/api/greeting", timeout=10)
        assert answer.text == "hello from greeting, 36"
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"


class TestWhatACallerGets:
    def test_binary_bodies_come_back_byte_for_byte(self, host: LocalHost) -> None:
        content = bytes(range(256)) * 5000
        answer = requests.put(f"{host.url}/api/mirror", data=content, timeout=10)
        assert (answer.status_code, answer.content) == (201, content)
        assert answer.headers["x-size"] == str(len(content))
        assert answer.headers["content-type"] == "application/octet-stream"
        assert answer.cookies["seen"] == "1"

    @pytest.mark.parametrize(
        ("method", "path", "reason"),
        [
            ("DELETE", "/api/echo/x", "a wrong method"),
            ("HEAD", "/api/echo/x", "HEAD on a GET route"),
            ("BREW", "/api/echo/x", "a method nobody knows"),
            ("GET", "/echo/x", "without the prefix"),
            ("GET", "/api/echo/", "an empty route value"),
            ("GET", "/api/numbers/one", "a failed constraint"),
            ("GET", "/admin/other", "an unknown admin address"),
        ],
    )
    def test_what_no_route_takes_is_an_empty_404(self, host: LocalHost, method: str, path: str, reason: str) -> None:
        answer = requests.request(method, host.url + path, timeout=10)
        assert (answer.status_code, answer.content) == (404, b""), reason

    def test_of_overlapping_routes_the_first_by_name_answers(self, host: LocalHost) -> None:
        assert requests.get(f"{host.url}/api/overlap/fixed", timeout=10).text == "the parameter"
        assert requests.delete(f"{host.url}/api/overlap/fixed", timeout=10).text == "the literal"

    @pytest.mark.parametrize("route", ["broken", "unanswered", "split"])
    def test_a_failing_function_is_an_empty_500(
        self, host: LocalHost, route: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        answer = requests.get(f"{host.url}/api/{route}?secret=x", timeout=10)
        assert (answer.status_code, answer.content) == (500, b"")
        assert "Traceback" in caplog.text
        assert "secret" not in caplog.text

    def test_a_204_has_neither_body_nor_length(self, host: LocalHost) -> None:
        answer = raw_exchange(host, b"GET /api/empty HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 204 ")
        assert answer.endswith(b"\r\n\r\n")
        assert b"content-length" not in answer.lower()

    def test_a_connection_is_kept_between_requests(self, host: LocalHost) -> None:
        get = b"GET /api/numbers/%d/ HTTP/1.1\r\nHost: h\r\n"
        answer = raw_exchange(host, get % 7 + b"\r\n", get % 8 + b"Connection: close\r\n\r\n")
        assert answer.count(b"HTTP/1.1 200 OK") == 2
        assert b"\r\n\r\n7HTTP/1.1" in answer
        assert answer.endswith(b"\r\n\r\n8")

    def test_the_root_answers_like_a_host_without_a_home_page(self, host: LocalHost) -> None:
        assert requests.get(host.url, timeout=10).status_code == 204

    @pytest.mark.parametrize(
        ("head", "status"),
        [
            (b"Content-Length: 104857601", b"413"),
            (b"Content-Length: -1", b"400"),
            (b"Transfer-Encoding: gzip", b"400"),
            (b"X-Text: \xff", b"400"),
        ],
    )
    def test_what_cannot_be_read_is_refused(self, host: LocalHost, head: bytes, status: bytes) -> None:
        answer = raw_exchange(host, b"PUT /api/mirror HTTP/1.1\r\nHost: h\r\n" + head + b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert answer.endswith(b"\r\n\r\n")

    def test_the_log_names_function_status_and_time_only(
        self, host: LocalHost, caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO, "local.host"):
            requests.get(f"{host.url}/api/numbers/1?code=secret", headers={"X-A": "hidden"}, timeout=10)
        line = caplog.messages[-1]
        assert line.startswith("number 200 ")
        assert line.endswith(" ms")
        assert "secret" not in caplog.text
        assert "hidden" not in caplog.text


class TestKeys:
    @pytest.mark.parametrize(
        ("headers", "query", "status"),
        [
            ({}, "", 401),
            ({"x-functions-key": "wrong"}, "", 401),
            ({}, "?code=wrong", 401),
            ({}, f"?code={KEY}", 200),
            ({"X-Functions-Key": KEY}, "", 200),
            ({"x-functions-key": KEY}, "?code=wrong", 200),
            ({"x-functions-key": "wrong"}, f"?code={KEY}", 401),
            ({"x-functions-key": "schlüssel".encode()}, "", 401),
        ],
    )
    def test_the_header_beats_the_query(
        self, locked: LocalHost, headers: dict[str, str], query: str, status: int
    ) -> None:
        answer = requests.get(f"{locked.url}/api/greeting{query}", headers=headers, timeout=10)
        assert answer.status_code == status
        assert status == 200 or answer.content == b""

    def test_an_anonymous_function_needs_none(self, locked: LocalHost) -> None:
        assert requests.put(f"{locked.url}/api/mirror", timeout=10).status_code == 201

    def test_an_unknown_route_is_404_even_without_a_key(self, locked: LocalHost) -> None:
        assert requests.get(f"{locked.url}/api/nothing", timeout=10).status_code == 404

    def test_the_admin_api_needs_it(self, locked: LocalHost) -> None:
        url = f"{locked.url}/admin/functions/new_year"
        assert requests.post(url, json=FIRE, timeout=10).status_code == 401
        assert requests.post(url, json=FIRE, headers={"x-functions-key": KEY}, timeout=10).status_code == 202

    def test_an_empty_key_is_refused(self) -> None:
        with pytest.raises(HostStartError, match="empty key"):
            LocalHost(SAMPLE, key="")


class TestFiringByHand:
    @pytest.mark.parametrize(
        ("name", "options", "status"),
        [
            ("New_Year", {"json": FIRE}, 202),
            ("nobody", {"json": FIRE}, 404),
            ("greeting", {"json": FIRE}, 404),
            ("new_year", {"json": [1]}, 400),
            ("new_year", {"data": "{", "headers": {"Content-Type": "application/json"}}, 400),
            ("new_year", {"data": "{}"}, 415),
        ],
    )
    def test_only_a_known_timer_with_a_json_body(
        self, host: LocalHost, name: str, options: dict[str, Any], status: int
    ) -> None:
        answer = requests.post(f"{host.url}/admin/functions/{name}", timeout=10, **options)
        assert (answer.status_code, answer.content) == (status, b"")

    def test_runs_at_once_beside_a_running_one(self) -> None:
        both_run = threading.Barrier(3)

        def meet() -> None:
            both_run.wait(10)

        app = timer_app("0 0 0 1 1 *", meet)
        with LocalHost(functions=load_functions(app)) as host:
            for _ in range(2):
                assert requests.post(f"{host.url}/admin/functions/tick", json=FIRE, timeout=10).status_code == 202
            both_run.wait(10)

    def test_stop_waits_for_what_was_fired(self) -> None:
        may_end, ended = threading.Event(), threading.Event()

        def work() -> None:
            may_end.wait(10)
            ended.set()

        with LocalHost(app=timer_app("0 0 0 1 1 *", work)) as host:
            requests.post(f"{host.url}/admin/functions/tick", json=FIRE, timeout=10)
            threading.Timer(0.1, may_end.set).start()
        assert ended.is_set()

    def test_fire_waits_and_raises(self) -> None:
        def fail() -> None:
            raise LookupError("on purpose")

        with LocalHost(app=timer_app("0 0 0 1 1 *", fail)) as host:
            with pytest.raises(LookupError, match="on purpose"):
                host.fire("tick")
            with pytest.raises(KeyError):
                host.fire("nobody")

    def test_the_functions_are_listed(self, host: LocalHost) -> None:
        listing = requests.get(f"{host.url}/admin/functions", timeout=10).json()
        urls = {function["name"]: function["invoke_url_template"] for function in listing}
        assert urls["echo"] == f"{host.url}/api/echo/{{name}}"
        assert urls["new_year"] is None


class TestSchedules:
    def test_a_timer_fires_by_its_schedule_and_never_overlaps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TICK_SCHEDULE", "* * * * * *")
        begun, may_end = threading.Semaphore(0), threading.Event()

        def work() -> None:
            begun.release()
            may_end.wait(10)

        with LocalHost(app=timer_app("%TICK_SCHEDULE%", work)):
            assert begun.acquire(timeout=3)
            assert not begun.acquire(timeout=1.1)
            may_end.set()
            assert begun.acquire(timeout=3)

    def test_a_failing_timer_fires_again(self, caplog: pytest.LogCaptureFixture) -> None:
        fired = threading.Semaphore(0)

        def fail() -> None:
            fired.release()
            raise RuntimeError("on purpose")

        with LocalHost(app=timer_app("*/1 * * * * *", fail)):
            assert fired.acquire(timeout=3)
            assert fired.acquire(timeout=3)
        assert "tick failed" in caplog.text

    @pytest.mark.parametrize(
        ("expression", "following"),
        [
            ("*/15 * * * * *", datetime(2026, 11, 13, 10, 0, 15, tzinfo=UTC)),
            ("0 */5 * * * *", datetime(2026, 11, 13, 10, 5, tzinfo=UTC)),
            ("*/5 * * * *", datetime(2026, 11, 13, 10, 5, tzinfo=UTC)),
            ("0 0 0 13 * FRI", datetime(2027, 8, 13, tzinfo=UTC)),
        ],
    )
    def test_ncrontab_reads_day_and_weekday(self, expression: str, following: datetime) -> None:
        assert Schedule(expression).next_after(datetime(2026, 11, 13, 10, tzinfo=UTC)) == following


class TestStartUpErrors:
    @pytest.mark.parametrize(
        ("app", "message"),
        [
            (http_app(("f", "GET", "administration")), "conflicts with the host's own routes"),
            (http_app(("f", "GET", "Runtime/x")), "conflicts with the host's own routes"),
            (http_app(("f", "GET", "x/{id}"), ("g", "GET", "X/{ID}")), "its route is that of f"),
            (http_app(("f", "GET", "x/{id:regex(a)}")), "does not know the route segment"),
            (timer_app("%NO_SUCH_SETTING%", print), "%NO_SUCH_SETTING%, which is not set"),
            (http_app(("f", "GET", "x"), ("f", "POST", "y")), "azure-functions refuses"),
            (timer_app("every minute", print), "NCRONTAB"),
            (timer_app("0 0 0 30 2 *", print), "NCRONTAB"),
        ],
    )
    def test_what_the_host_refuses(self, app: func.FunctionApp, message: str) -> None:
        with pytest.raises(HostStartError, match=message):
            LocalHost(app=app)

    def test_one_route_with_two_methods_is_fine(self) -> None:
        app = http_app(("f", "GET", "x"), ("g", "POST", "x"))
        assert [function.name for function in load_functions(app)] == ["f", "g"]
        LocalHost(functions=load_functions(app))

    def test_a_parameter_that_no_binding_names(self) -> None:
        app = func.FunctionApp()

        @app.route(route="x")
        def handle(req: func.HttpRequest, other: str = "") -> str:
            return other

        with pytest.raises(HostStartError, match="the parameters must be 'req'"):
            LocalHost(app=app)

    def test_a_port_that_is_taken(self, host: LocalHost) -> None:
        with pytest.raises(HostStartError, match="cannot be used"):
            LocalHost(SAMPLE, port=int(host.url.rpartition(":")[2])).start()


class TestFiles:
    def test_the_prefix_is_that_of_host_json(self, tmp_path: Path) -> None:
        (tmp_path / "host.json").write_text('{"extensions": {"http": {"routePrefix": "v1/x"}}}')
        with LocalHost(tmp_path, app=http_app(("f", "GET", "y"))) as host:
            assert requests.get(f"{host.url}/v1/x/y", timeout=10).text == "ok"
            assert requests.get(f"{host.url}/api/y", timeout=10).status_code == 404

    def test_the_environment_wins_over_local_settings(self, tmp_path: Path) -> None:
        (tmp_path / "local.settings.json").write_text('{"Values": {"A": "file", "B": "file"}}', encoding="utf-8-sig")
        environ = {"A": "environment"}
        apply_local_settings(tmp_path, environ)
        assert environ == {"A": "environment", "B": "file"}

    @pytest.mark.parametrize("content", ['{"Values": {"A": 1}}', '{"IsEncrypted": true}', "{", "[]"])
    def test_local_settings_that_cannot_be_used(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "local.settings.json").write_text(content)
        with pytest.raises(HostStartError, match=r"local\.settings\.json"):
            apply_local_settings(tmp_path, {})


class TestCommand:
    def run(self, app_dir: Path, **environ: str) -> subprocess.Popen[str]:
        inherited = {name: value for name, value in os.environ.items() if name != "POLYSYNC_LOCAL_KEY"}
        return subprocess.Popen(
            [sys.executable, "-m", "local.host", "--port", "0", "--enable-auth", "--app", str(app_dir)],
            cwd=ROOT,
            env=inherited | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
    def test_serves_until_a_signal_and_ends_well(self, tmp_path: Path, signal_number: signal.Signals) -> None:
        (tmp_path / "function_app.py").write_text((SAMPLE / "function_app.py").read_text())
        (tmp_path / "local.settings.json").write_text('{"Values": {"A": "file", "B": "file"}}')
        with self.run(tmp_path, POLYSYNC_LOCAL_KEY=KEY, A="environment") as process:
            assert process.stdout
            lines: list[str] = []
            while not (lines and lines[-1].startswith("Listening on ")):
                lines.append(process.stdout.readline())
                assert lines[-1], process.communicate()
            url = lines[-1].removeprefix("Listening on ").strip()
            assert requests.get(f"{url}/api/setting?name=A", timeout=10).status_code == 401
            for name, value in (("A", "environment"), ("B", "file")):
                answer = requests.get(f"{url}/api/setting?name={name}&code={KEY}", timeout=10)
                assert answer.text == value
            process.send_signal(signal_number)
            output, errors = process.communicate(timeout=10)
        assert process.returncode == 0
        assert errors == ""
        table = [line.split() for line in lines]
        assert ["greeting", "GET", f"{url}/api/greeting", "function"] in table
        assert ["mirror", "PUT", f"{url}/api/mirror", "anonymous"] in table
        assert ["new_year", "timer", "0", "0", "0", "1", "1", "*"] in table
        assert "setting 200" in output
        assert KEY not in output

    def test_asking_for_keys_without_one_names_the_variable(self) -> None:
        with self.run(SAMPLE) as process:
            _, errors = process.communicate(timeout=10)
        assert process.returncode == 1
        assert "POLYSYNC_LOCAL_KEY" in errors
        assert "Traceback" not in errors
