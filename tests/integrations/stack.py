"""The app in a process of its own, on Azurite and a simulated workspace with short-lived states."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.workspace import SimulatedWorkspace, script_ending
from polysync_core.settings import SETTING_NAMES
from tests.integrations.loopback import CallbackHost

ROOT = Path(__file__).resolve().parents[2]
INTEGRATIONS = ROOT / "integrations"
FUNCTION_KEY = "function-key-of-these-tests"
CALLBACK_SECRET = "whsec_" + "cG9seXN5bmMtdGVzdHMtY2FsbGJhY2stc2VjcmV0"
EVERY_SECOND = "* * * * * *"
PACE_SECONDS = 0.1
PATIENCE_SECONDS = 45.0
"""The limit of every wait. A run takes about two seconds."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """A running app, its workspace, and two allowed callback targets: `callback_host`, and a free port."""

    url: str
    workspace: SimulatedWorkspace
    callback_host: CallbackHost
    receiver_port: int
    log_file: Path

    def add_pipeline(self, ending: str) -> str:
        """Add a pipeline whose updates end in that state. With RUNNING they do not end by themselves."""
        return self.workspace.add_pipeline(script=script_ending(ending))


@contextmanager
def running_stack(tables: str, folder: Path, sign_in: Mapping[str, str] | None = None) -> Iterator[Stack]:
    """Start everything, and stop everything at the end of the block. The app's log is kept in `folder`.

    `sign_in` are the settings with which callers sign in. Without it they send the function key.
    """
    log_file, receiver_port = folder / "app.log", _free_port()
    with SimulatedWorkspace(pace_seconds=PACE_SECONDS) as workspace, CallbackHost() as callback_host:
        settings = {
            "DATABRICKS_HOST": workspace.url,
            "POLYSYNC_TABLES": tables,
            "POLYSYNC_SWEEP_SCHEDULE": EVERY_SECOND,
            "POLYSYNC_STATUS_MAX_AGE_SECONDS": "1",
            "POLYSYNC_CALLBACK_SCHEDULE": EVERY_SECOND,
            "POLYSYNC_CALLBACK_HOSTS": f"{callback_host.authority},127.0.0.1:{receiver_port}",
            "POLYSYNC_CALLBACK_SECRET": CALLBACK_SECRET,
            **(sign_in or {}),
        }
        # A blank value counts as not set. It also takes precedence over the developer's local.settings.json.
        blank = dict.fromkeys(SETTING_NAMES, "")
        environ = {**os.environ, **workspace.environ(), **blank, **settings, "POLYSYNC_LOCAL_KEY": FUNCTION_KEY}
        with log_file.open("wb") as log:
            app = subprocess.Popen(
                [sys.executable, "-m", "local.host", "--port", "0", "--enable-auth"],
                cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
            try:
                url = _url_once_up(app, log_file)
                yield Stack(
                    url=url,
                    workspace=workspace,
                    callback_host=callback_host,
                    receiver_port=receiver_port,
                    log_file=log_file,
                )
            finally:
                app.terminate()
                app.wait(timeout=20)


def wait_for_states(stack: Stack, pipeline_id: str, states: list[str]) -> None:
    """Wait until the updates of that pipeline are in these states."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (now := [update.state for update in stack.workspace.updates_of(pipeline_id)]) != states:
        assert time.monotonic() < deadline, f"the updates of {pipeline_id} are {now}"
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _url_once_up(app: subprocess.Popen[bytes], log_file: Path) -> str:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while app.poll() is None and time.monotonic() < deadline:
        for line in log_file.read_text().splitlines():
            if line.startswith("Listening on "):
                return line.removeprefix("Listening on ").strip()
        time.sleep(0.05)
    raise AssertionError(f"the app did not start:\n{log_file.read_text()}")
