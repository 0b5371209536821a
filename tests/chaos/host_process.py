"""A local host in a process of its own, and callers that reach it over HTTP. Its port stays after a restart."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from tests.chaos.app import Answer

ROOT = Path(__file__).resolve().parents[2]
_UP_SECONDS = 60.0
_POLL_SECONDS = 0.02
CALLER_TIMEOUT_SECONDS = 5.0


class HostProcess:
    """Runs `module` of the sources in `folder` with --port. Its output is appended to `log_file` at each start.

    With `asks_for_key`, the host asks for the key in its environment.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        log_file: Path,
        module: str = "local.host",
        folder: Path = ROOT,
        *,
        asks_for_key: bool = False,
    ) -> None:
        self._options = ["--enable-auth"] if asks_for_key else []
        self.set_environ(environ)
        self._folder = folder
        self._log_file = log_file
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._is_up = False
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"

    def set_environ(self, environ: Mapping[str, str]) -> None:
        """Use this environment from the next start on."""
        self._environ = {**bare_environment(), **environ}

    @property
    def is_up(self) -> bool:
        """Whether the host has answered since its last start."""
        return self._is_up

    def start(self) -> None:
        """Start the host and return when it answers. Raises RuntimeError if it ends before that or answers too late."""
        command = [sys.executable, "-m", self._module, "--port", self.url.rpartition(":")[2], *self._options]
        with self._log_file.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, env=self._environ, stdout=log, stderr=log)
        give_up_at = time.monotonic() + _UP_SECONDS
        while time.monotonic() < give_up_at and self._process.poll() is None:
            with contextlib.suppress(requests.RequestException):
                if requests.get(self.url, timeout=5).status_code == 204:
                    self._is_up = True
                    return
            time.sleep(_POLL_SECONDS)
        self.kill()
        raise RuntimeError(f"the host did not come up; its log is {self._log_file}")

    def kill(self) -> None:
        """Send SIGKILL, which the host cannot handle."""
        self._is_up = False
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def bare_environment() -> dict[str, str]:
    """This process's environment without the variables that the app reads."""
    ours = ("POLYSYNC_", "DATABRICKS_", "AzureWebJobs", "IDENTITY_", "WEBSITE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


class HttpDoor:
    """Sends requests over HTTP. A lost connection or a late response counts as no response."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api"

    def start(self, pipeline_id: str, body: Mapping[str, Any], key: str | None) -> Answer | None:
        return self._ask("POST", f"pipelines/{pipeline_id}/updates", key, dict(body))

    def cancel(self, run_id: str) -> Answer | None:
        return self._ask("POST", f"runs/{run_id}/cancel")

    def cancel_by_key(self, pipeline_id: str, key: str | None) -> Answer | None:
        return self._ask("POST", f"pipelines/{pipeline_id}/cancel", key)

    def read(self, run_id: str) -> Answer | None:
        return self._ask("GET", f"runs/{run_id}")

    def await_result(self, run_id: str, token: str) -> Answer | None:
        return self._ask("GET", f"runs/{run_id}/result?token={token}")

    def list_runs(self, pipeline_id: str) -> Answer | None:
        return self._ask("GET", f"runs?pipelineId={pipeline_id}")

    def _ask(self, method: str, path: str, key: str | None = None, body: object = None) -> Answer | None:
        headers = {} if key is None else {"Idempotency-Key": key}
        try:
            answer = requests.request(
                method, f"{self._url}/{path}", json=body, headers=headers, timeout=CALLER_TIMEOUT_SECONDS
            )
            return Answer(status=answer.status_code, body=answer.json())
        except (requests.RequestException, ValueError):
            return None
