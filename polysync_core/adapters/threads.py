"""Threads that work in the context of the thread that started them.

The Functions host drops a log line without the id of its invocation. Microsoft's runtime keeps that id in a context
variable, which a new thread does not have by itself.
Source: azure-functions-runtime 1.3.0, utils/executor.py (`invocation_id_cv`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class ContextPool(ThreadPoolExecutor):
    """A thread pool that runs work in the context of the thread that submitted it. This includes `map`."""

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        context = copy_context()
        return super().submit(lambda: context.run(fn, *args, **kwargs))


def start_thread(work: Callable[_P, object], *args: _P.args, **kwargs: _P.kwargs) -> threading.Thread:
    """Run `work` in a daemon thread, in this thread's context."""
    context = copy_context()
    thread = threading.Thread(target=lambda: context.run(work, *args, **kwargs), daemon=True)
    thread.start()
    return thread
