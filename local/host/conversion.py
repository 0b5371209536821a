"""Converts what the host has to a function's argument, and its results back, with the Python worker's own code.

The Datums are those that the worker makes of the host's messages. A body is always bytes (the worker's capability
RawHttpBodyBytes). Empty query values are missing (azure-functions-host, GrpcMessageConversionExtensions.ToRpcHttp).
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, quote

import azure.functions as func
from azure.functions.meta import Datum

from local.messages import Reply, Request

_CONNECTION_HEADERS = frozenset({"content-length", "transfer-encoding", "connection"})
_TIMER_INFO = '{"Schedule": {"AdjustForDST": true}, "ScheduleStatus": null, "IsPastDue": false}'


def decode_query(query: str) -> dict[str, str]:
    """Return the parameters of a query string.

    Names that differ only in case are the same name. Repeated values are joined with commas. Empty values are left out.
    """
    first_spelling: dict[str, str] = {}
    values: dict[str, str] = {}
    for spelling, value in parse_qsl(query):
        name = first_spelling.setdefault(spelling.lower(), spelling)
        values[name] = f"{values[name]},{value}" if name in values else value
    return values


def decode_http(request: Request, route_parameters: dict[str, str]) -> func.HttpRequest:
    """Return the argument of an HTTP function."""
    path = quote(request.path, safe="/:@!$&'()*+,;=~").replace("%252F", "%2F").replace("%252f", "%2f")
    query = f"?{request.query}" if request.query else ""
    http = {
        "method": Datum(request.method, "string"),
        "url": Datum(f"http://{request.headers.get('host', '')}{path}{query}", "string"),
        "headers": _texts(request.headers),
        "query": _texts(decode_query(request.query)),
        "params": _texts(route_parameters),
        "body": Datum(request.body, "bytes"),
    }
    decoded: func.HttpRequest = _converter("httpTrigger").decode(Datum(http, "http"), trigger_metadata={})
    return decoded


def encode_http(answer: Any) -> Reply:
    """Return what the host sends for a function's result.

    Raises an error for a result that is neither HttpResponse nor str. Raises ValueError for header text that cannot be
    sent.
    """
    encoded = _converter("http").encode(answer, expected_type=None)
    if encoded.type == "string":
        return Reply(status=200, headers=(("Content-Type", "text/plain; charset=utf-8"),), body=encoded.value.encode())
    http = encoded.value
    headers = [(name, value.value) for name, value in http["headers"].items()]
    for cookies in http["cookies"] or ():
        headers += [("Set-Cookie", cookie.OutputString()) for cookie in cookies.values()]
    for name, value in headers:
        if not (name.isascii() and value.isascii() and (name + value).replace("\t", " ").isprintable()):
            raise ValueError(f"the response header {name!a} holds text that no header can carry")
    return Reply(
        status=int(http["status_code"].value),
        headers=tuple((name, value) for name, value in headers if name.lower() not in _CONNECTION_HEADERS),
        body=http["body"].value,
    )


def decode_timer() -> func.TimerRequest:
    """Return the argument of a timer function. It is never past due."""
    decoded: func.TimerRequest = _converter("timerTrigger").decode(Datum(_TIMER_INFO, "json"), trigger_metadata={})
    return decoded


def decode_queue(text: str, metadata: Mapping[str, str | int | datetime]) -> func.QueueMessage:
    """Return the argument of a queue function.

    The names in `metadata` are the host's: Id, PopReceipt, DequeueCount, InsertionTime, ExpirationTime,
    NextVisibleTime. A name that is missing becomes None.
    """
    fields = {name: _metadata(value) for name, value in metadata.items()}
    decoded: func.QueueMessage = _converter("queueTrigger").decode(Datum(text, "string"), trigger_metadata=fields)
    return decoded


def encode_queue(value: Any) -> list[str]:
    """Return the messages that the host writes for the value of a queue output. None is no message.

    The host takes a text that is a JSON array for a list (azure-functions-host, FunctionBinding.ReadAsEnumerable).
    Raises TypeError for a value that is neither a str nor a list of str.
    """
    if value is None:
        return []
    if not isinstance(value, str | list | tuple) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"a queue output takes a str or a list of str, not {type(value).__name__}")
    text = _converter("queue").encode(value, expected_type=None).value
    items = _json_array(text)
    if items is None:
        return [text]
    return [item if isinstance(item, str) else json.dumps(item) for item in items]


def _json_array(text: str) -> list[Any] | None:
    try:
        content = json.loads(text)
    except ValueError:
        return None
    return content if isinstance(content, list) else None


def _metadata(value: str | int | datetime) -> Datum:
    """Return trigger metadata as the worker gets it: a text as a string, everything else as JSON."""
    if isinstance(value, str):
        return Datum(value, "string")
    return Datum(json.dumps(value.isoformat() if isinstance(value, datetime) else value), "json")


def _converter(binding: str) -> Any:
    untyped_registry: Any = func.get_binding_registry
    return untyped_registry().get(binding)


def _texts(values: Mapping[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items()}
