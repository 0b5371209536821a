"""A simulated workspace and the app, each in a process of its own, so that their CPU does not count in a benchmark."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests

KEY = "bench"
"""The function key of the app."""


class RemoteWorkspace:
    """A simulated workspace in another process. `environ` is the environment with which the app uses it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self._session = requests.Session()

    @property
    def url(self) -> str:
        return self.environ["DATABRICKS_HOST"]

    def control(self, method: str, **arguments: Any) -> Any:
        """Call a method of local.workspace.control. Raises HTTPError for an unknown method or a wrong argument."""
        answer = self._session.post(f"{self.url}/_sim/{method}", json=arguments, timeout=60)
        answer.raise_for_status()
        return answer.json()["result"]


@contextmanager
def workspace_process(*, latency_ms: float = 0.0) -> Iterator[RemoteWorkspace]:
    """Run a simulated workspace without pipelines. `latency_ms` is added to each of its answers."""
    command = [sys.executable, "-m", "local.workspace", "--port", "0", "--pipelines", "0"]
    process = subprocess.Popen([*command, "--latency-ms", str(latency_ms)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline().removeprefix("export ").strip() for _ in range(3)]
        yield RemoteWorkspace(dict(line.split("=", 1) for line in lines))
    finally:
        process.terminate()
        process.wait()


@contextmanager
def app_process(environ: Mapping[str, str]) -> Iterator[str]:
    """Run the app with its timers. Yields its address. Its log is read and dropped."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local.host", "--port", "0", "--enable-auth"],
        env={**os.environ, **environ, "POLYSYNC_LOCAL_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines = process.stdout
    try:
        base = next(line.split()[-1] for line in lines if line.startswith("Listening on "))
        threading.Thread(target=lambda: [None for _ in lines], daemon=True).start()
        yield base
    finally:
        process.terminate()
        process.wait(timeout=30)
