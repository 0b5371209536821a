"""The tests run requests.http, the curl lines and the receiver of integrations/http exactly as they are written."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from local.entra import SimulatedEntra
from tests.integrations.conftest import DoorOf
from tests.integrations.doors import OPERATE
from tests.integrations.stack import CALLBACK_SECRET, FUNCTION_KEY, INTEGRATIONS, PATIENCE_SECONDS, Stack

FOLDER = INTEGRATIONS / "http"
FORMS = ("entra", "key")


@dataclass(frozen=True, kw_only=True)
class FileRequest:
    name: str
    method: str
    url: str
    headers: dict[str, str]
    body: str


@pytest.mark.parametrize("form", FORMS)
def test_the_requests_of_the_file_work_one_after_another(form: str, door_of: DoorOf) -> None:
    door = door_of(form)
    text = (FOLDER / "requests.http").read_text()
    if form == "key":
        text = text.replace(*re.findall(r'replace every "(.+)" by "(.+)"', text)[0])
    variables = dict(re.findall(r"^@(\w+) = (.+)$", text, re.MULTILINE))
    credential = {"token" if form == "entra" else "functionKey": door.header[1].removeprefix("Bearer ")}
    variables |= {"appUrl": door.stack.url, "pipelineId": door.stack.add_pipeline("COMPLETED"), **credential}
    statuses = {}
    for part in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        request = _parse(part, variables)
        assert request.name.startswith(("wait", "health")) or door.header in request.headers.items()
        answer = requests.request(
            request.method, request.url, headers=request.headers, data=request.body, timeout=60, allow_redirects=False
        )
        statuses[request.name] = answer.status_code
        if request.name == "start":
            variables |= {name: answer.json()[name] for name in ("runId", "resultUrl")}
        if request.name.startswith("wait"):
            status_url = f"{door.stack.url}/api/runs/{variables['runId']}"
            _wait_for_run(status_url, door.header, lambda run: bool(run["isFinished"]))
    assert statuses.pop("wait: 202 while it goes on, then 200, 424, 409 or 410") in {200, 202}
    assert list(statuses.values()) == [202, 200, 200, 200, 200, 202, 200], statuses


@pytest.mark.parametrize("form", FORMS)
def test_the_curl_lines_work_one_after_another(
    form: str, door_of: DoorOf, entra: SimulatedEntra, tmp_path: Path
) -> None:
    if missing := [tool for tool in ("bash", "curl", "jq") if shutil.which(tool) is None]:
        pytest.skip(f"the curl lines are not run: {', '.join(missing)} is not installed")
    door = door_of(form)
    (values, sign_in, *lines), (key_values, key) = (block.splitlines() for block in _blocks("sh")[:2])
    assert re.sub(r"=\S+( id>)?", "", values) == "APP CLIENT PIPELINE"
    assert re.sub(r"=\S+", "", key_values) == "APP PIPELINE"
    pipeline_id = door.stack.add_pipeline("COMPLETED")
    mine = f"APP={door.stack.url} CLIENT={entra.audience} PIPELINE={pipeline_id}"
    first = sign_in if form == "entra" else key.replace("demo-key", FUNCTION_KEY)
    script = "\n".join([mine, first, *lines]).replace("sleep 15", "sleep 0.2")
    asked = _stand_in_for_az(tmp_path / "bin", f"api://{entra.audience}", entra.issue([OPERATE], kind="user"))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False,
        env={**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"status": "Success"' in done.stdout
    assert re.search(r"^\d{4}-\S+Z Success$", done.stdout, re.MULTILINE)
    assert len(door.stack.workspace.updates_of(pipeline_id)) == 1
    assert len(asked.read_text().splitlines()) == (1 if form == "entra" else 0)


@pytest.fixture
def receiver(stack: Stack, tmp_path: Path) -> Iterator[Path]:
    """Run receiver.py, and yield the file with its output."""
    output = tmp_path / "receiver.txt"
    environ = {**os.environ, "POLYSYNC_CALLBACK_SECRET": CALLBACK_SECRET, "PORT": str(stack.receiver_port)}
    with output.open("wb") as file:
        running = subprocess.Popen(
            [sys.executable, FOLDER / "receiver.py"], env=environ, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            _wait_until_open(stack.receiver_port)
            yield output
        finally:
            running.terminate()
            running.wait()


def test_the_receiver_takes_a_real_delivery(stack: Stack, receiver: Path) -> None:
    pipeline_id = stack.add_pipeline("FAILED")
    started = requests.post(
        f"{stack.url}/api/pipelines/{pipeline_id}/updates",
        json={"callbackUrl": f"http://127.0.0.1:{stack.receiver_port}/"},
        headers={"x-functions-key": FUNCTION_KEY},
        timeout=60,
    ).json()
    document = _wait_for_run(
        started["statusUrl"],
        ("x-functions-key", FUNCTION_KEY),
        lambda run: [callback["state"] for callback in run["callbacks"]] == ["delivered"],
    )
    printed = [line for line in receiver.read_text().splitlines() if started["runId"] in line]
    assert len(printed) == 1
    assert f"{started['runId']} Failed {document['message']}" in printed[0]


def test_the_receiver_refuses_what_the_app_has_not_signed(stack: Stack, receiver: Path) -> None:
    headers = {"webhook-id": "msg", "webhook-timestamp": "1", "webhook-signature": "v1,bm90IHNpZ25lZA=="}
    for signed in (headers, {}):
        answer = requests.post(
            f"http://127.0.0.1:{stack.receiver_port}/", json={"runId": "x"}, headers=signed, timeout=10
        )
        assert answer.status_code == 401


def test_the_receiver_has_fifteen_lines() -> None:
    assert len([line for line in (FOLDER / "receiver.py").read_text().splitlines() if line.strip()]) == 15


def _parse(part: str, variables: Mapping[str, str]) -> FileRequest:
    """Parse one request of the file: title, request line, headers, an empty line, and the body."""
    part = re.sub(r"\{\{(\w+)\}\}", lambda found: variables[found[1]], part)
    head, _, body = part.partition("\n\n")
    title, first, *headers = head.strip().splitlines()
    method, url = first.split(" ", 1)
    return FileRequest(
        name=title,
        method=method,
        url=url,
        headers=dict(line.split(": ", 1) for line in headers),
        body=body.strip(),
    )


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (FOLDER / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def _stand_in_for_az(folder: Path, resource: str, token: str) -> Path:
    """Put a command `az` into `folder` that gives a token for that resource alone. Return the file with its calls."""
    folder.mkdir()
    calls = folder / "calls.txt"
    calls.touch()
    (folder / "az").write_text(f"""#!/bin/bash
echo "$*" >> {calls}
if [ "$*" != "account get-access-token --resource {resource} --query accessToken -o tsv" ]; then
  echo "ERROR: AADSTS500011: $*" >&2
  exit 1
fi
echo {token}
""")
    (folder / "az").chmod(0o755)
    return calls


def _wait_for_run(
    status_url: str, header: tuple[str, str], is_so: Callable[[Mapping[str, Any]], bool]
) -> Mapping[str, Any]:
    """Wait until `is_so` is true for the run document, and return the document."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        run: Mapping[str, Any] = requests.get(status_url, headers=dict([header]), timeout=60).json()
        if is_so(run):
            return run
        assert time.monotonic() < deadline, run
        time.sleep(0.1)


def _wait_until_open(port: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("the receiver does not listen")
