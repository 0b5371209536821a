"""The local host's timers, run by hand and by their schedules."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
import requests

from local.host import LocalHost, load_functions
from local.host.schedules import Schedule

SAMPLE = Path(__file__).parents[1] / "host_app"


FIRE = {"input": ""}


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

    def test_a_timer_fired_by_hand_runs_at_once_even_while_it_runs(self) -> None:
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
