"""Reads an app's functions and their bindings. A function that Azure would not run is refused at start-up."""

import inspect
import threading
import typing
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import azure.functions as func

ALL_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})


# The worker knows typing.List[str], but not list[str].
_OUTPUT_TYPES: tuple[Any, ...] = (func.Out[str], func.Out[typing.List[str]])  # noqa: UP006


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
class QueueTrigger:
    """`queue` is the name of a queue. It may contain names of settings such as %SWEEP_QUEUE%.

    `connection` is the name of the setting that holds the connection string.
    """

    queue: str
    connection: str


@dataclass(frozen=True, kw_only=True)
class QueueOutput:
    """An output binding. `parameter` takes an azure.functions.Out. The other fields are those of QueueTrigger."""

    parameter: str
    queue: str
    connection: str


Trigger = HttpTrigger | TimerTrigger | QueueTrigger


@dataclass(frozen=True, kw_only=True)
class HostedFunction:
    """One function. `parameter` is the name of the parameter that takes the trigger's value.

    If `wants_context`, the parameter `context` takes the invocation's context.
    """

    name: str
    call: Callable[..., Any]
    parameter: str
    wants_context: bool
    trigger: Trigger
    outputs: tuple[QueueOutput, ...] = ()

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
    kinds = sorted(str(binding["type"]) for binding in bindings)
    triggers = [binding for binding in bindings if binding["type"] in _DECODERS]
    expected = {"httpTrigger": {"http"}}.get(triggers[0]["type"], set()) if triggers else set()
    if len(triggers) != 1 or set(kinds) - {triggers[0]["type"], "queue"} != expected:
        raise HostStartError(
            f"{name}: the local host serves HTTP, timer and queue triggers with queue outputs only, not {kinds}"
        )
    trigger = triggers[0]
    outputs = tuple(
        QueueOutput(parameter=binding["name"], queue=str(binding["queueName"]), connection=_connection_setting(binding))
        for binding in bindings
        if binding["type"] == "queue"
    )
    call = declared.get_user_function()
    wants_context = _check_parameters(name, call, trigger["name"], outputs)
    if outputs or trigger["type"] == "queueTrigger":
        _check_annotations(name, call, trigger, outputs)
    return HostedFunction(
        name=name,
        call=call,
        parameter=trigger["name"],
        wants_context=wants_context,
        trigger=_DECODERS[trigger["type"]](trigger),
        outputs=outputs,
    )


def _http_trigger(binding: dict[str, Any]) -> HttpTrigger:
    methods = frozenset(_text(method).upper() for method in binding.get("methods") or ())
    return HttpTrigger(
        route=str(binding["route"]).strip("/"),
        methods=methods or ALL_METHODS,
        auth_level=_text(binding.get("authLevel", "function")).lower(),
    )


def _timer_trigger(binding: dict[str, Any]) -> TimerTrigger:
    return TimerTrigger(schedule=str(binding["schedule"]))


def _queue_trigger(binding: dict[str, Any]) -> QueueTrigger:
    return QueueTrigger(queue=str(binding["queueName"]), connection=_connection_setting(binding))


_DECODERS: dict[str, Callable[[dict[str, Any]], Trigger]] = {
    "httpTrigger": _http_trigger,
    "timerTrigger": _timer_trigger,
    "queueTrigger": _queue_trigger,
}


def _connection_setting(binding: dict[str, Any]) -> str:
    return str(binding.get("connection") or "AzureWebJobsStorage")


def _text(enum_or_text: Any) -> str:
    return str(getattr(enum_or_text, "value", enum_or_text))


def _check_parameters(name: str, call: Callable[..., Any], parameter: str, outputs: tuple[QueueOutput, ...]) -> bool:
    """Return whether the function wants `context`. Raises HostStartError for any other extra or missing parameter.

    The worker refuses such an app too (azure-functions-runtime, functions.py, validate_function_params).
    """
    parameters = set(inspect.signature(call).parameters)
    bound = [parameter, *(output.parameter for output in outputs)]
    if parameters - {"context"} != set(bound) - {"context"} or not parameters.issuperset(bound):
        expected = ", ".join(map(repr, bound))
        raise HostStartError(
            f"{name}: the parameters must be {expected} and, if wanted, 'context', not {sorted(parameters)}"
        )
    return "context" in parameters and "context" not in bound


def _check_annotations(
    name: str, call: Callable[..., Any], trigger: dict[str, Any], outputs: tuple[QueueOutput, ...]
) -> None:
    """Raise HostStartError for a type that the worker does not take, or that this host does not know.

    The worker refuses Out[list[str]] (azure-functions-runtime 1.3.0, functions.py, validate_function_params).
    """
    annotations = typing.get_type_hints(call)
    known: dict[str, tuple[Any, ...]] = {output.parameter: _OUTPUT_TYPES for output in outputs}
    if trigger["type"] == "queueTrigger":
        known[trigger["name"]] = (func.QueueMessage,)
    for parameter, types in known.items():
        if parameter in annotations and annotations[parameter] not in types:
            wanted = " or ".join(kind.__name__ if isinstance(kind, type) else str(kind) for kind in types)
            raise HostStartError(f"{name}: the type of {parameter} must be {wanted}, not {annotations[parameter]}")
