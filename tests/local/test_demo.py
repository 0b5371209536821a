"""`make demo` as people use it: both forms run to their end, and what they and the README print works in a shell."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from local.demo.callers import TokenCallers
from local.demo.stack import KEY
from local.demo.story import PIPELINE_ID
from local.entra import SimulatedEntra
from local.entra.claims import caller
from local.token import fetch_token
from local.workspace.pipeline_control import DEFAULT_SPEC
from polysync_core.rules.decisions.roles import Role
from tests.readme import ROOT, Example, readme_examples

STAYS = "Ctrl-C here ends it."
PATIENCE_SECONDS = 60.0
OF_THE_USER = {
    "POLYSYNC_CALLERS": "keys",
    "POLYSYNC_ENTRA_AUTHORITY": "https://login.microsoftonline.us",
    "POLYSYNC_ENTRA_DENIED": caller("app", ["Polysync.Operate"]).object_id,
    "POLYSYNC_PUBLIC_URL": "https://polysync.example.com",
}
"""Settings that somebody has exported for an app of their own. The demo must use none of them."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """A demo that has told its story and keeps running. `printed` is its output until then."""

    printed: str

    @property
    def commands(self) -> list[str]:
        return re.findall(r"^   (curl .+|[A-Z]+=\$\(.+\))$", self.printed, re.MULTILINE)

    @property
    def url(self) -> str:
        return str(re.findall(r"curl -i '(http://[^/]+)/api/health'", self.printed)[0])

    @property
    def issuer(self) -> str:
        return str(re.findall(r"--issuer (\S+)\)", self.printed)[0])

    def headers(self) -> dict[str, str]:
        """The headers of an administrator, who may do everything."""
        if "x-functions-key" in self.printed:
            return {"x-functions-key": KEY}
        return {"Authorization": f"Bearer {fetch_token(self.issuer, {'roles': ['Polysync.Admin']})}"}

    def wait_until_idle(self) -> None:
        """Wait until the pipeline of the examples has no active run, so that it can be started."""
        ends_at = time.monotonic() + PATIENCE_SECONDS
        address = f"{self.url}/api/runs?active=true&pipelineId={PIPELINE_ID}"
        while requests.get(address, headers=self.headers(), timeout=30).json()["items"]:
            assert time.monotonic() < ends_at
            time.sleep(0.1)


class Shell:
    """A bash in which a user pastes one command after another. It has the settings OF_THE_USER."""

    def __init__(self) -> None:
        pipe, environ = subprocess.PIPE, _clean_environ() | OF_THE_USER
        self._process = subprocess.Popen(
            ["bash"], cwd=ROOT, env=environ, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL
        )

    def paste(self, command: str) -> str:
        """Return what the command prints. It must succeed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\nprintf '\\n[%s]\\n' $?\n".encode())
        self._process.stdin.flush()
        output = ""
        while not (ended := re.search(r"\n\[(\d+)\]\n$", output)):
            output += self._process.stdout.readline().decode()
        assert ended[1] == "0", command
        return output[: ended.start()]

    def close(self) -> None:
        self._process.communicate()


def _clean_environ() -> dict[str, str]:
    """This environment without settings of the app."""
    ours = ("POLYSYNC_", "DATABRICKS_", "AzureWebJobs", "IDENTITY_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _start(mode: str, output: Path) -> subprocess.Popen[bytes]:
    every_second = dict.fromkeys(("POLYSYNC_SWEEP_SCHEDULE", "POLYSYNC_CALLBACK_SCHEDULE"), "* * * * * *")
    command = [sys.executable, "-m", "local.demo", "--stay", "--pace", "0.1", "--callers", mode]
    with output.open("wb") as file:
        return subprocess.Popen(
            command, cwd=ROOT, env=_clean_environ() | every_second | OF_THE_USER, stdout=file, stderr=subprocess.STDOUT
        )


@pytest.fixture(scope="module")
def demos() -> Iterator[dict[str, Demo]]:
    """Both forms, side by side. Only one of them can have the ports of the README. Each must end well at Ctrl-C."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = {mode: Path(folder, mode) for mode in ("entra", "keys")}
        processes = {mode: _start(mode, output) for mode, output in outputs.items()}
        try:
            ends_at = time.monotonic() + PATIENCE_SECONDS
            for mode, process in processes.items():
                while STAYS not in outputs[mode].read_text():
                    assert process.poll() is None, outputs[mode].read_text()
                    assert time.monotonic() < ends_at, outputs[mode].read_text()
                    time.sleep(0.05)
            yield {mode: Demo(printed=output.read_text()) for mode, output in outputs.items()}
        finally:
            for process in processes.values():
                process.send_signal(signal.SIGINT)
            ended = {mode: process.wait(PATIENCE_SECONDS) for mode, process in processes.items()}
        assert ended == {"entra": 0, "keys": 0}


@pytest.fixture(params=["entra", "keys"])
def demo(request: pytest.FixtureRequest, demos: dict[str, Demo]) -> Demo:
    return demos[request.param]


@pytest.fixture
def shell() -> Iterator[Shell]:
    if missing := [tool for tool in ("bash", "curl") if shutil.which(tool) is None]:
        pytest.skip(f"no command is pasted: {', '.join(missing)} is not installed")
    opened = Shell()
    yield opened
    opened.close()


def _status_of(output: str) -> int:
    return int(re.findall(r"^HTTP/1\.1 (\d+) ", output, re.MULTILINE)[-1])


def test_the_demo_shows_who_may_start_and_who_did(demos: dict[str, Demo]) -> None:
    printed = demos["entra"].printed
    for part in ("401", '"code": "NotSignedIn"', "403", '"detail": "This needs the role Polysync.Operate'):
        assert part in printed
    operator = caller("app", ["Polysync.Operate"]).object_id
    assert printed.count(f'"objectId": "{operator}"') == 3, "started twice, cancelled once"
    assert '"startedBy": "key"' in demos["keys"].printed


def test_the_settings_of_the_user_s_own_door_are_set_aside_and_named(demo: Demo) -> None:
    assert ", ".join(sorted(OF_THE_USER)) in demo.printed
    assert "polysync.example.com" not in demo.printed


def test_each_printed_command_works_when_it_is_pasted(demos: dict[str, Demo], demo: Demo, shell: Shell) -> None:
    statuses = []
    for command in demo.commands:
        if f"{PIPELINE_ID}/updates" in command:
            demo.wait_until_idle()
        output = shell.paste(command)
        if command.startswith("curl"):
            statuses.append(_status_of(output))
    refused = [401, 200, 403] if demo is demos["entra"] else [401, 200]
    told = [200, 200, 200, 200, 202, 200, 200, 202, 200, 200]
    assert statuses == [*refused, *told, 200, 200, 202, 200]


def test_the_command_for_a_token_is_that_of_the_readme_unless_the_issuer_is_elsewhere() -> None:
    with SimulatedEntra() as entra:
        usual = TokenCallers(entra=entra, names_issuer=False).token_command(Role.OPERATE)
        other = TokenCallers(entra=entra, names_issuer=True).token_command(Role.OPERATE)
        assert other == f"{usual[:-1]} --issuer {entra.url})"
    assert usual in [example.command for example in readme_examples()]


@pytest.mark.parametrize("mode", ["entra", "keys"])
def test_the_page_that_the_demo_names_opens(demos: dict[str, Demo], mode: str) -> None:
    page = f"{demos[mode].url}/api/page"
    assert requests.get(page, timeout=30).status_code == 200
    assert requests.get(f"{page}/config.json", timeout=30).json()["callers"] == mode


def test_the_commands_of_the_readme_work_beside_the_demo(demos: dict[str, Demo], shell: Shell) -> None:
    demo = demos["entra"]
    examples = readme_examples()
    assert len(examples) >= 5
    shell.paste(f"export POLYSYNC_ENTRA_AUTHORITY={demo.issuer}")  # where the port that the README implies is taken
    demo.wait_until_idle()
    job = requests.get(f"{demo.url}/api/jobs/{PIPELINE_ID}", headers=demo.headers(), timeout=30).json()
    databricks = job["monitorUrl"].partition("/#")[0]
    edit = {"pipeline_id": PIPELINE_ID, "spec": {**DEFAULT_SPEC, "photon": False}}
    assert requests.post(f"{databricks}/_sim/set_spec", json=edit, timeout=30).status_code == 200
    for example in examples:
        output = shell.paste(example.command.replace("http://127.0.0.1:7071", demo.url))
        _compare(example, output.replace(demo.url, "http://127.0.0.1:7071"))


def _compare(example: Example, output: str) -> None:
    """Each line that the README shows must be in the output, and each JSON member of a line, up to its first `…`."""
    for line in example.output:
        shown = re.findall(r'"\w+": (?:"[^"]*"|[\w.]+)', line) or [line]
        for part in shown:
            assert part.partition("…")[0] in output, example.command
