"""The tests' side of the driver. It does what the Functions host does for Microsoft's library."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.host.conversion import decode_http
from local.messages import Request
from tests.functions.app import ROOT, Answer

PYTHON = ROOT / ".venv-runtime" / "bin" / "python"
_TIMER = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": None, "IsPastDue": False}


Outputs = dict[str, list[str]]
"""The texts of the messages for each output parameter that the function has set."""


class RuntimeFailedError(Exception):
    """The library did not load the app, or a function raised an exception. The message is the library's."""


class MicrosoftRuntime:
    """Runs the app of `app_dir` in a process with only the variables `environ`. Its log goes to the file `log`."""

    base_url = "http://functions.example:7071"

    def __init__(self, app_dir: Path, environ: Mapping[str, str], log: Path) -> None:
        self._app_dir = app_dir
        self._environ = {"PYTHONDONTWRITEBYTECODE": "1", **environ}
        self._log = log
        self.functions: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [PYTHON, "-m", "tests.functions.microsoft_runtime.driver", self._app_dir],
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
            )
        try:
            self.functions = self._read()["functions"]
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def send(self, method: str, address: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Call the function whose route and method match.

        local.host's code makes the host's message. So a difference between the two can only come from the library.
        """
        pairs = (("host", self.base_url.partition("//")[2]), *headers.items())
        request = Request(method=method, target=address, pairs=pairs, body=body)
        name, params = self._match(method, request.path)
        seen = decode_http(request, params)
        http = {
            "method": seen.method,
            "url": seen.url,
            "headers": dict(seen.headers),
            "query": dict(seen.params),
            "params": dict(seen.route_params),
            "body": base64.b64encode(seen.get_body()).decode(),
        }
        answer = self._ask({"function": name, "http": http})
        sent = {name.lower(): value for name, value in answer["headers"].items()}
        return Answer(status=answer["status"], headers=sent, body=base64.b64decode(answer["body"]))

    def fire(self, name: str) -> None:
        self.run_timer(name)

    def run_timer(self, name: str) -> Outputs:
        """Run a timer function, and return what it has set for its output bindings."""
        outputs: Outputs = self._ask({"function": name, "timer": _TIMER})["outputs"]
        return outputs

    def deliver(self, name: str, body: str, metadata: Mapping[str, str | int]) -> Outputs:
        """Run a queue function with a message, and return what it has set for its output bindings.

        The names in `metadata` are the host's: Id, PopReceipt, DequeueCount, InsertionTime, ExpirationTime and
        NextVisibleTime. Times are in ISO 8601.
        """
        outputs: Outputs = self._ask({"function": name, "queue": {"body": body, "metadata": dict(metadata)}})["outputs"]
        return outputs

    def _match(self, method: str, path: str) -> tuple[str, dict[str, str]]:
        for function in self.functions:
            trigger = function["bindings"][0]
            if method in trigger.get("methods", ()):
                pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", f"/api/{trigger['route']}")
                if found := re.fullmatch(pattern, path):
                    return function["name"], found.groupdict()
        raise LookupError(f"no function takes {method} {path}")

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeFailedError(f"the driver ended:\n{self.log}")
        answer: dict[str, Any] = json.loads(line)
        if "failed" in answer:
            raise RuntimeFailedError(answer["failed"])
        return answer

    def _close(self) -> None:
        with self._process as process:
            assert process.stdin
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                print("the driver did not end by itself", file=sys.stderr)
