"""Reads an app's functions and their triggers. A function that Azure would not run is refused at start-up."""

import inspect
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import azure.functions as func

ALL_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})


class HostStartError(Exception):
    """The app cannot be served. The message says what to change."""


@dataclass(frozen=True, kw_only=True)
class HttpTrigger:
    """`route` has no prefix and no outer slashes. `auth_level` is anonymous, function or admin."""

    route: str
    methods: frozenset[str]
    auth_level: str


@dataclass(frozen=True, kw_only=True)
class TimerTrigger:
    """`schedule` is NCRONTAB as the app declares it. It may contain names of settings such as %SWEEP_SCHEDULE%."""

    schedule: str


@dataclass(frozen=True, kw_only=True)
class HostedFunction:
    """One function. `parameter` is the name of the parameter that takes the trigger's value.

    If `wants_context`, the parameter `context` takes the invocation's context.
    """

    name: str
    call: Callable[..., Any]
    parameter: str
    wants_context: bool
    trigger: HttpTrigger | TimerTrigger

    @property
    def is_async(self) -> bool:
        return inspect.iscoroutinefunction(self.call)


Functions = tuple[HostedFunction, ...]

_loaded: weakref.WeakKeyDictionary[func.FunctionRegister, Functions] = weakref.WeakKeyDictionary()
_loaded_lock = threading.Lock()


def load_functions(app: func.FunctionRegister) -> Functions:
    """Return the functions of an app, sorted by name as in the host.

    The result is kept for each app object, because a second call of `app.get_functions()` reports duplicates. Raises
    HostStartError for a function that Azure or this host cannot run.
    """
    with _loaded_lock:
        if app not in _loaded:
            try:
                declared = app.get_functions()
            except ValueError as error:
                raise HostStartError(f"azure-functions refuses the app: {error}") from error
            hosted = [_hosted(function) for function in declared]
            _loaded[app] = tuple(sorted(hosted, key=lambda function: function.name.lower()))
        return _loaded[app]


def _hosted(declared: Any) -> HostedFunction:
    name = declared.get_function_name()
    bindings = declared.get_bindings_dict()["bindings"]
    kinds = {str(binding["type"]) for binding in bindings}
    if kinds == {"httpTrigger", "http"}:
        binding = next(binding for binding in bindings if binding["type"] == "httpTrigger")
        trigger: HttpTrigger | TimerTrigger = _http_trigger(binding)
    elif kinds == {"timerTrigger"}:
        binding = bindings[0]
        trigger = TimerTrigger(schedule=str(binding["schedule"]))
    else:
        raise HostStartError(f"{name}: the local host serves HTTP and timer functions only, not {sorted(kinds)}")
    call = declared.get_user_function()
    wants_context = _check_parameters(name, call, binding["name"])
    return HostedFunction(name=name, call=call, parameter=binding["name"], wants_context=wants_context, trigger=trigger)


def _http_trigger(binding: dict[str, Any]) -> HttpTrigger:
    methods = frozenset(_text(method).upper() for method in binding.get("methods") or ())
    return HttpTrigger(
        route=str(binding["route"]).strip("/"),
        methods=methods or ALL_METHODS,
        auth_level=_text(binding.get("authLevel", "function")).lower(),
    )


def _text(enum_or_text: Any) -> str:
    return str(getattr(enum_or_text, "value", enum_or_text))


def _check_parameters(name: str, call: Callable[..., Any], parameter: str) -> bool:
    """Return whether the function wants `context`. Raises HostStartError for any other extra or missing parameter.

    The worker refuses such an app too (azure-functions-runtime, functions.py, validate_function_params).
    """
    parameters = set(inspect.signature(call).parameters)
    wants_context = "context" in parameters and parameter != "context"
    unbound = parameters - {parameter, "context"}
    if unbound or parameter not in parameters:
        raise HostStartError(
            f"{name}: the parameters must be {parameter!r} and, if wanted, 'context', not {sorted(parameters)}"
        )
    return wants_context
