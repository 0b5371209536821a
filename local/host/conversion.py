"""Converts a Request to an HTTP function's argument, and its result to a Reply, with the Python worker's own code.

The Datums are those that the worker makes of the host's messages. A body is always bytes (the worker's capability
RawHttpBodyBytes). Empty query values are missing (azure-functions-host, GrpcMessageConversionExtensions.ToRpcHttp).
"""

from collections.abc import Mapping
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


def _converter(binding: str) -> Any:
    untyped_registry: Any = func.get_binding_registry
    return untyped_registry().get(binding)


def _texts(values: Mapping[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items()}
