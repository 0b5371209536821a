"""Starts and stops everything that the demo runs."""

from __future__ import annotations

import base64
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.azurite import Azurite
from local.host import HostStartError, LocalHost
from local.receiver import Receiver
from local.workspace import SimulatedWorkspace
from polysync_core import services
from polysync_core.rules.decisions.callback_addresses import DEFAULT_HOSTS

ROOT = Path(__file__).resolve().parents[2]
KEY = "demo-key"
PORT = 7071
TIMER = "*/2 * * * * *"
PACE_SECONDS = 1.5
PIPELINES = 120
LATENCY_SECONDS = 0.05


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A running app, and a receiver of its callbacks.

    `workspace` is None when the app uses a real workspace. The app signs callbacks with `callback_secret`, which is
    POLYSYNC_CALLBACK_SECRET.
    """

    url: str
    workspace: SimulatedWorkspace | None
    receiver: Receiver
    callback_secret: str
    log_file: Path


@contextmanager
def running_stack(log_file: Path) -> Iterator[Stack]:
    """Start everything, and stop everything at the end of the block. The app's log is written to `log_file`."""
    is_real = bool(os.environ.get("DATABRICKS_HOST") or os.environ.get("POLYSYNC_WORKSPACES"))
    with ExitStack() as stack:
        _log_to(log_file)
        if not os.environ.get("POLYSYNC_TABLES"):
            os.environ["POLYSYNC_TABLES"] = stack.enter_context(Azurite()).connection_string
        workspace = None
        if not is_real:
            workspace = stack.enter_context(SimulatedWorkspace(pace_seconds=PACE_SECONDS, host="127.0.0.1"))
            workspace.add_pipelines(PIPELINES)
            workspace.configure(latency_seconds=LATENCY_SECONDS)
            os.environ.update(workspace.environ())
        receiver = stack.enter_context(Receiver())
        secret = f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"
        secret = os.environ.setdefault("POLYSYNC_CALLBACK_SECRET", secret)
        hosts = os.environ.get("POLYSYNC_CALLBACK_HOSTS") or DEFAULT_HOSTS
        os.environ["POLYSYNC_CALLBACK_HOSTS"] = f"{hosts},{receiver.host}"
        for name in ("POLYSYNC_SWEEP_SCHEDULE", "POLYSYNC_CALLBACK_SCHEDULE"):
            os.environ.setdefault(name, TIMER)
        services.forget()
        host = _start_host(stack)
        yield Stack(url=host.url, workspace=workspace, receiver=receiver, callback_secret=secret, log_file=log_file)


def _start_host(stack: ExitStack) -> LocalHost:
    """Listen on port 7071 if it is free, because the README uses it. Otherwise take any free port."""
    try:
        return stack.enter_context(LocalHost(ROOT, key=KEY, port=PORT))
    except HostStartError:
        return stack.enter_context(LocalHost(ROOT, key=KEY))


def _log_to(log_file: Path) -> None:
    handler = logging.FileHandler(log_file, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(name)s  %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
