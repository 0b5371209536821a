"""The tests' end of the driver: the Functions host's part, played towards Microsoft's library."""

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


class RuntimeFailedError(Exception):
    """The library would not load the app, or a function raised; the message is the library's."""


class MicrosoftRuntime:
    """An app of `app_dir` in a process with `environ` and nothing else; its log goes to the file `log`."""

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
        """Ask the function whose route and method match.

        The host's message is made by local.host's code, so that only what the library makes of it can differ.
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
        assert self._ask({"function": name, "timer": _TIMER}) == {"done": True}

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
