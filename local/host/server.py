"""LocalHost: the routes, keys, timers, queues and the admin API of one app, served on 127.0.0.1."""

import hmac
import json
import logging
import threading
import time
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

import azure.functions as func

from local.host.app_settings import is_disabled
from local.host.config import load_app, read_queue_settings, read_route_prefix
from local.host.conversion import decode_http, encode_http
from local.host.functions import (
    ALL_METHODS,
    Functions,
    HostedFunction,
    HostStartError,
    HttpTrigger,
    TimerTrigger,
    load_functions,
)
from local.host.invoker import Invoker, argument_by_hand, log_end
from local.host.queue_settings import QueueSettings
from local.host.queues import Queues, plan_queues
from local.host.routes import Route, build_routes, match
from local.host.runner import Runner
from local.host.schedules import ScheduledTimer, resolve_schedule
from local.loopback import LoopbackServer
from local.messages import Reply, Request

_logger = logging.getLogger("local.host")


class LocalHost:
    """One running host. With `key`, requests to functions that are not anonymous and to /admin need that key, else 401.

    The app is `functions` (of load_functions), else the functions of `app`, else those of `app_dir/function_app.py`.
    The route prefix is that of `app_dir/host.json`, else `api`. The queue settings are also from there. With
    `timers=False` no schedule is followed, and with `queues=False` no message is received, but `fire` still works.
    A function whose setting AzureWebJobs.NAME.Disabled is true is left out.
    Raises HostStartError for a function that the Functions host would not start, and for a port that is taken.
    """

    def __init__(
        self,
        app_dir: Path | str | None = None,
        *,
        app: func.FunctionRegister | None = None,
        functions: Functions | None = None,
        key: str | None = None,
        port: int = 0,
        timers: bool = True,
        queues: bool = True,
    ) -> None:
        if key == "":
            raise HostStartError("an empty key would let everyone in")
        if functions is None:
            functions = load_functions(app if app is not None else load_app(Path(app_dir or ".")))
        functions = tuple(function for function in functions if not is_disabled(function.name))
        self._functions = {function.name.lower(): function for function in functions}
        self._routes = build_routes(functions, read_route_prefix(Path(app_dir)) if app_dir else "api")
        self._schedules = {
            function.name: resolve_schedule(function, function.trigger)
            for function in functions
            if isinstance(function.trigger, TimerTrigger)
        }
        self._queue_plan = plan_queues(functions)
        self._queue_settings = read_queue_settings(Path(app_dir)) if app_dir else QueueSettings()
        self._key = key
        self._port = port
        self._fires_timers = timers
        self._listens_to_queues = queues

    def start(self) -> Self:
        try:
            self._server = LoopbackServer(self._answer, port=self._port)
        except OSError as error:
            raise HostStartError(f"port {self._port} of 127.0.0.1 cannot be used: {error.strerror}") from error
        self._in_flight = self._server.in_flight
        self._runner = Runner()
        self._queues = Queues(self._queue_plan, self._queue_settings, self._in_flight, listens=self._listens_to_queues)
        self._invoker = Invoker(self._runner, self._queues.write)
        self._server.start()
        self._timers = [
            ScheduledTimer(name, schedule, partial(self._run_timer, self._functions[name.lower()]))
            for name, schedule in self._schedules.items()
            if self._fires_timers
        ]
        self._queues.start(self._invoker.run_logged)
        for timer in self._timers:
            timer.start()
        return self

    def stop(self, grace_seconds: float = 5.0) -> bool:
        """Accept nothing more, and wait for what runs. Return False if something still runs after `grace_seconds`."""
        for timer in self._timers:
            timer.stop()
        self._queues.stop()
        self._server.stop_accepting()
        is_idle = self._in_flight.wait_until_idle(grace_seconds)
        self._server.end_connections()
        self._runner.close()
        if is_idle:
            self._queues.close()
        return is_idle

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`, without the route prefix."""
        return self._server.url

    def fire(self, name: str, text: str = "") -> None:
        """Run a timer or queue function by hand and wait for its end. A queue function gets a message with this text.

        An exception of the function, or of the storage that its output goes to, is raised here. Raises KeyError when
        there is no such function.
        """
        function = self._functions[name.lower()]
        value = argument_by_hand(function, text)
        with self._in_flight.work():
            self._invoker.run(function, value)

    def describe(self) -> list[str]:
        """Return the function table, one line each.

        A line has the name, and then methods, address and auth level, or the schedule, or the queue.
        """
        lines = []
        for route in self._routes:
            methods = "any" if route.trigger.methods == ALL_METHODS else ",".join(sorted(route.trigger.methods))
            lines.append((route.function.name, f"{methods:<8} {self.url}{route.path}  {route.trigger.auth_level}"))
        lines += [(name, f"timer    {schedule.expression}") for name, schedule in self._schedules.items()]
        lines += [(function.name, f"queue    {address.name}") for function, address in self._queue_plan.triggers]
        width = max((len(name) for name, _ in lines), default=0)
        return [f"  {name:<{width}}  {what}" for name, what in lines]

    def _answer(self, request: Request) -> Reply:
        started = time.perf_counter()
        if request.path == "/":
            name, response = "/", Reply(status=HTTPStatus.NO_CONTENT)
        elif request.path.lower().startswith("/admin/"):
            name, response = "/admin", self._answer_admin(request)
        elif found := match(self._routes, request.method, request.path):
            route, parameters = found
            name, response = route.function.name, self._answer_function(route, parameters, request)
        else:
            name, response = "(no such route)", Reply(status=HTTPStatus.NOT_FOUND)
        log_end(name, str(int(response.status)), started)
        return response

    def _answer_function(self, route: Route, parameters: dict[str, str], request: Request) -> Reply:
        if route.trigger.auth_level != "anonymous" and not self._is_let_in(request):
            return Reply(status=HTTPStatus.UNAUTHORIZED)
        try:
            return self._invoker.answer(route.function, decode_http(request, parameters), encode_http)
        except Exception:
            _logger.exception("%s failed", route.function.name)
            return Reply(status=HTTPStatus.INTERNAL_SERVER_ERROR)

    def _answer_admin(self, request: Request) -> Reply:
        """Answer the admin API. GET /admin/functions lists. POST /admin/functions/{name} runs a function.

        It runs timer and queue functions. The body of the POST is `{"input": "the text of the message"}`.
        """
        if not self._is_let_in(request):
            return Reply(status=HTTPStatus.UNAUTHORIZED)
        folder, _, name = request.path.rstrip("/").lower().removeprefix("/admin/").partition("/")
        if folder != "functions" or request.method != ("POST" if name else "GET"):
            return Reply(status=HTTPStatus.NOT_FOUND)
        if not name:
            return self._list_functions()
        if name not in self._functions or isinstance(self._functions[name].trigger, HttpTrigger):
            return Reply(status=HTTPStatus.NOT_FOUND)
        if "json" not in request.headers.get("content-type", "").lower():
            return Reply(status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        text = _decode_input(request.body)
        if text is None:
            return Reply(status=HTTPStatus.BAD_REQUEST)
        self._in_flight.begin()
        threading.Thread(target=self._run_by_hand, args=(self._functions[name], text), daemon=True).start()
        return Reply(status=HTTPStatus.ACCEPTED)

    def _list_functions(self) -> Reply:
        addresses = {route.function.name: self.url + route.path for route in self._routes}
        listing = [
            {"name": function.name, "invoke_url_template": addresses.get(function.name), "isDisabled": False}
            for function in self._functions.values()
        ]
        body = json.dumps(listing).encode()
        return Reply(status=HTTPStatus.OK, headers=(("Content-Type", "application/json"),), body=body)

    def _run_by_hand(self, function: HostedFunction, text: str) -> None:
        try:
            self._invoker.run_logged(function, argument_by_hand(function, text))
        finally:
            self._in_flight.end()

    def _run_timer(self, function: HostedFunction) -> None:
        with self._in_flight.work():
            self._invoker.run_logged(function, argument_by_hand(function))

    def _is_let_in(self, request: Request) -> bool:
        """Whether the request has the key. A header takes precedence over `?code=`.

        Source: azure-functions-host, AuthenticationLevelHandler.
        """
        if self._key is None:
            return True
        codes = [value for name, value in parse_qsl(request.query) if name.lower() == "code"]
        offered = request.headers.get("x-functions-key", codes[0] if codes else "")
        return hmac.compare_digest(offered.encode(), self._key.encode())


def _decode_input(body: bytes) -> str | None:
    """Return the input in the body of a POST to the admin API, or None for a body that is not valid."""
    try:
        content: Any = json.loads(body)
    except ValueError:
        return None
    text = content.get("input", "") if isinstance(content, dict) else None
    return text if isinstance(text, str) else None
