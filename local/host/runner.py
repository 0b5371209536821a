"""Runs functions as the Python worker does: sync functions on a thread pool, async functions on one event loop."""

import asyncio
import threading
import uuid
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import azure.functions as func

from local.host.functions import HostedFunction

# The worker's default for PYTHON_THREADPOOL_THREAD_COUNT is at most 32.
_THREADS = 32


class Output(func.Out[Any]):
    """The argument of an output parameter. It keeps the last value that the function has set, at first None."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        self._value = val

    def get(self) -> Any:
        return self._value


class Runner:
    """Runs the functions of one host. Each call of run() is one invocation."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="function")
        self._loop = asyncio.new_event_loop()
        self._loop_thread = threading.Thread(target=self._loop.run_forever, name="function-loop", daemon=True)
        self._loop_thread.start()

    def run(self, function: HostedFunction, value: Any, outputs: Mapping[str, Output]) -> Any:
        """Call the function with its trigger's value, and return its result. Raises whatever the function raises.

        `outputs` holds the argument of each output parameter. An HTTP request that names its trace is part of it.
        """
        arguments: dict[str, Any] = {function.parameter: value, **outputs}
        if function.wants_context:
            headers = value.headers if isinstance(value, func.HttpRequest) else {}
            arguments["context"] = InvocationContext(function.name, headers)
        future: Future[Any]
        if function.is_async:
            future = asyncio.run_coroutine_threadsafe(function.call(**arguments), self._loop)
        else:
            future = self._pool.submit(function.call, **arguments)
        return future.result()

    def close(self) -> None:
        """Cancel the async functions that still run. Sync functions cannot be cancelled, and run until they end."""
        asyncio.run_coroutine_threadsafe(_cancel_all_tasks(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._loop_thread.join()
        self._loop.close()
        self._pool.shutdown(wait=False, cancel_futures=True)


async def _cancel_all_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True)
class NoRetry:
    """The retry context of a function that has no retry policy."""

    retry_count: int = 0
    max_retry_count: int = 0
    exception: None = None


@dataclass(frozen=True)
class Trace:
    """A W3C trace."""

    trace_parent: str
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


class InvocationContext(func.Context):
    """The value of a function's parameter `context: func.Context`."""

    invocation_id = ""
    function_name = ""
    function_directory = ""
    trace_context: Any = None
    retry_context: Any = NoRetry()
    thread_local_storage: Any = threading.local()

    def __init__(self, function_name: str, headers: Mapping[str, str]) -> None:
        """`headers` may hold the trace of the caller. Otherwise the invocation has a trace of its own."""
        self.invocation_id = str(uuid.uuid4())
        self.function_name = function_name
        own = f"00-{uuid.uuid4().hex}-{uuid.uuid4().hex[:16]}-01"
        self.trace_context = Trace(headers.get("traceparent", own), headers.get("tracestate", ""))
