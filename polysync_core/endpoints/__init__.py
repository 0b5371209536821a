"""One function for each route and timer.

The endpoints of events, of jobs and of secrets are imported on their first use. A start and a sweep do not need them,
and would otherwise wait for their import at a cold start. The module's `__getattr__` does this:
https://peps.python.org/pep-0562/
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polysync_core.endpoints import event_endpoints as event_endpoints
    from polysync_core.endpoints import job_endpoints as job_endpoints
    from polysync_core.endpoints import secret_endpoints as secret_endpoints


def __getattr__(name: str) -> ModuleType:
    if name not in {"event_endpoints", "job_endpoints", "secret_endpoints"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module(f"{__name__}.{name}")
