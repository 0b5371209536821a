"""Loads and invokes an app as the Python worker in Azure does. Needs an interpreter with azure-functions-runtime.

    python -m tests.functions.microsoft_runtime.driver APP_DIR

It reads JSON lines from standard input and writes one response a line to standard output:

    (at start)                                   {"functions": [{"name", "bindings": […], "declared": {…}}]}
    {"function", "http": {method, url, …}}       {"status", "headers", "body"}     bodies in base64
    {"function", "timer": {…}}                   {"outputs": {parameter: [text of a message, …]}}
    {"function", "queue": {"body", "metadata"}}  the same; the names in metadata are the host's: Id, DequeueCount, …
    an app or a function that fails              {"failed": "…"}

The app's own output and its log go to standard error.
"""

import asyncio
import base64
import importlib
import json
import logging
import os
import sys
import uuid
from pathlib import Path
from typing import Any

from tests.functions.microsoft_runtime import protos
from tests.functions.microsoft_runtime.protos import Message, ParameterBinding, TypedData

runtime: Any = importlib.import_module("azure_functions_runtime")


class WorkerError(Exception):
    """The library reported a failure. The message is the library's."""


def main() -> int:
    app_dir = str(Path(sys.argv[1]).resolve())
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.path[0] = app_dir  # in place of this project: what the app imports must be in its own folder
    os.chdir(app_dir)
    logging.basicConfig(level=logging.DEBUG, format="%(levelname)s %(name)s: %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(_note_invocation)
    asyncio.run(_serve(app_dir, answers))
    return 0


def _note_invocation(record: logging.LogRecord) -> bool:
    """Mark each log line. The worker in Azure drops a line without an invocation id."""
    if not record.name.startswith("polysync"):
        return True
    invocation_id = runtime.invocation_id_cv.get()
    record.msg = f"[{'invocation' if invocation_id else 'NO INVOCATION'}] {record.msg}"
    return True


async def _serve(app_dir: str, answers: Any) -> None:
    runtime.start_threadpool_executor()
    try:
        functions = await _load(app_dir)
    except WorkerError as error:
        print(json.dumps({"failed": str(error)}), file=answers, flush=True)
        return
    table = [_describe(function) for function in functions]
    print(json.dumps({"functions": table}), file=answers, flush=True)
    by_name = {function.name: function for function in functions}
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = await _invoke(by_name[command["function"]], command)
        except WorkerError as error:
            answer = {"failed": str(error)}
        print(json.dumps(answer), file=answers, flush=True)
    runtime.stop_threadpool_executor()


async def _load(app_dir: str) -> list[Any]:
    """The metadata of the app's functions, each loaded, in the host's order of requests."""
    init = _request("worker_init_request", capabilities={}, function_app_directory=app_dir)
    _check(await runtime.worker_init_request(init))
    listed = await runtime.functions_metadata_request(
        _request("functions_metadata_request", function_app_directory=app_dir)
    )
    _check(listed)
    functions = listed.function_metadata_results
    if functions is None:
        raise WorkerError("the library found no functions")
    for function in functions:
        load = _request("function_load_request", function_id=function.function_id, metadata=function)
        _check(await runtime.function_load_request(load))
    return list(functions)


def _describe(function: Any) -> dict[str, Any]:
    """A function as the host sees it: its bindings as JSON, and the declared types and directions."""
    declared = {name: {"type": info.type, "direction": info.direction} for name, info in function.bindings.items()}
    return {
        "name": function.name,
        "bindings": [json.loads(binding) for binding in function.raw_bindings],
        "declared": declared,
    }


async def _invoke(function: Any, command: dict[str, Any]) -> dict[str, Any]:
    parameter = next(name for name, info in function.bindings.items() if info.type.endswith("Trigger"))
    data, metadata = _trigger(command)
    response = await runtime.invocation_request(
        _request(
            "invocation_request",
            invocation_id=str(uuid.uuid4()),
            function_id=function.function_id,
            input_data=[ParameterBinding(parameter, data)],
            trigger_metadata=metadata,
            trace_context=_trace(command),
            retry_context=Message(retry_count=0, max_retry_count=0, exception=None),
        )
    )
    _check(response)
    if response.return_value is None:
        return {"outputs": {output.name: _messages(output.data) for output in response.output_data}}
    if response.return_value.WhichOneof("data") != "http":
        raise WorkerError(f"{function.name} answered with no HttpResponse")
    http = response.return_value.http
    return {
        "status": int(http.status_code),
        "headers": dict(http.headers),
        "body": base64.b64encode(http.body.bytes).decode(),
    }


def _trace(command: dict[str, Any]) -> Message:
    """The trace that the host is in. It takes over that of a request."""
    headers = command["http"]["headers"] if "http" in command else {}
    return Message(
        trace_parent=headers.get("traceparent", ""), trace_state=headers.get("tracestate", ""), attributes={}
    )


def _trigger(command: dict[str, Any]) -> tuple[TypedData, dict[str, TypedData]]:
    """The host's message for the trigger's value, and its trigger metadata."""
    if "http" in command:
        return _http(command["http"]), {}
    if "timer" in command:
        return TypedData(json=json.dumps(command["timer"])), {}
    metadata = {
        name: TypedData(string=value) if name in ("Id", "PopReceipt") else TypedData(json=json.dumps(value))
        for name, value in command["queue"]["metadata"].items()
    }
    return TypedData(string=command["queue"]["body"]), metadata


def _messages(data: TypedData) -> list[str]:
    """The messages of an output binding: one for a text, and one for each item of a list."""
    return [data.string] if data.WhichOneof("data") == "string" else list(json.loads(data.json))


def _http(http: dict[str, Any]) -> TypedData:
    """The host's message for a request. A body is bytes, and an empty body is left out."""
    body = base64.b64decode(http["body"])
    return TypedData(http=Message(**http | {"body": TypedData(bytes=body) if body else TypedData()}))


def _request(kind: str, **content: Any) -> Message:
    return Message(request=Message(**{kind: Message(**content)}), properties={"host": "127.0.0.1", "protos": protos})


def _check(response: Any) -> None:
    if response.result.status != protos.StatusResult.Success:
        raise WorkerError(f"{response.result.exception.message}\n{response.result.exception.stack_trace}")


if __name__ == "__main__":
    sys.exit(main())
