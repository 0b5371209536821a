"""The start of the local host: files, settings, and what it refuses."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import azure.functions as func
import pytest
import requests

from local.host import HostStartError, LocalHost, load_functions
from local.host.config import apply_local_settings

SAMPLE = Path(__file__).parents[1] / "host_app"


ROOT = Path(__file__).parents[3]


KEY = "a-key"


@pytest.fixture(scope="module")
def host() -> Iterator[LocalHost]:
    with LocalHost(SAMPLE, timers=False) as running:
        yield running


def timer_app(schedule: str, call: Callable[[], None], name: str = "tick") -> func.FunctionApp:
    app = func.FunctionApp()

    @app.function_name(name)
    @app.timer_trigger(schedule=schedule, arg_name="timer")
    def tick(timer: func.TimerRequest) -> None:
        call()

    return app


def http_app(*routes: tuple[str, str, str]) -> func.FunctionApp:
    """Return an app with these functions: (name, method, route)."""
    app = func.FunctionApp()
    for name, method, route in routes:

        def handle(req: func.HttpRequest) -> str:
            return "ok"

        app.function_name(name)(app.route(route=route, methods=[method])(handle))
    return app


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
