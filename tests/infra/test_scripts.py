"""The scripts of infra/, run as people and workflows run them, against a server on a loopback address."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from polysync_core import __version__, services
from tests.functions.app import ServedApp, served

INFRA = Path(__file__).resolve().parents[2] / "infra"
PRINCIPAL = "11111111-2222-3333-4444-555555555555"
GOOD = ("--host", "adb-1.2.azuredatabricks.net", "--application-id", PRINCIPAL, "--pipeline", "p-1")
Call = tuple[str, str, str]


@contextmanager
def _server(status: int, answer: object) -> Iterator[tuple[str, list[Call]]]:
    calls: list[Call] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            calls.append((self.command, self.path, self.headers.get("Authorization", "")))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        do_GET = do_POST = do_PATCH = _answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", calls
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _grant(*arguments: str, token: str = "secret-token", path: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DATABRICKS_TOKEN": token, "PATH": f"{path}{os.environ['PATH']}"}
    return subprocess.run(
        ["bash", INFRA / "databricks/grant", *arguments], capture_output=True, text=True, env=environment, check=False
    )


def _with(name: str, value: str) -> tuple[str, ...]:
    return tuple(value if before == name else given for before, given in zip(("", *GOOD), GOOD, strict=False))


def test_grant_shows_its_calls_and_makes_none() -> None:
    shown = _grant(*GOOD)
    assert shown.returncode == 0
    assert "PATCH https://adb-1.2.azuredatabricks.net/api/2.0/permissions/pipelines/p-1" in shown.stdout
    assert "Nothing was called" in shown.stdout


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        (_with("--host", "adb-1.2.azuredatabricks.net/sql"), "leave out the path"),
        (_with("--host", "http://adb-1.2.azuredatabricks.net"), "must use https"),
        (_with("--host", "accounts.azuredatabricks.net"), "account console"),
        (_with("--application-id", "polysync"), "must be a UUID"),
        (_with("--pipeline", "a/b"), "is not a pipeline id"),
        (GOOD[:4], "--pipeline is missing"),
        (GOOD[2:], "--host is missing"),
        ((*GOOD, "--name", 'a"b'), "--name may hold"),
        ((*GOOD, "--name"), "needs a value"),
        ((*GOOD, "--now"), "is not an option"),
    ],
)
def test_grant_refuses_a_bad_input_with_the_remedy(arguments: tuple[str, ...], remedy: str) -> None:
    refused = _grant(*arguments)
    assert (refused.returncode, remedy in refused.stderr) == (2, True), refused.stderr


def test_grant_applies_with_the_token_and_never_prints_it() -> None:
    with _server(200, {}) as (address, calls):
        applied = _grant(*_with("--host", address), "--apply")
    assert applied.returncode == 0, applied.stderr
    assert calls == [
        ("POST", "/api/2.0/preview/scim/v2/ServicePrincipals", "Bearer secret-token"),
        ("PATCH", "/api/2.0/permissions/pipelines/p-1", "Bearer secret-token"),
    ]
    assert "secret-token" not in applied.stdout + applied.stderr


def _az(folder: Path, script: str) -> str:
    """An `az` that runs `script`, as the beginning of a PATH."""
    az = folder / "az"
    az.write_text(f"#!/bin/sh\n{script}\n")
    az.chmod(0o755)
    return f"{folder}:"


def test_grant_without_a_databricks_token_takes_that_of_the_login(tmp_path: Path) -> None:
    with _server(200, {}) as (address, calls):
        applied = _grant(*_with("--host", address), "--apply", token="", path=_az(tmp_path, "echo login-token"))
    assert applied.returncode == 0, applied.stderr
    assert {authorization for _, _, authorization in calls} == {"Bearer login-token"}
    assert "login-token" not in applied.stdout + applied.stderr


def test_grant_without_any_token_makes_no_call(tmp_path: Path) -> None:
    with _server(200, {}) as (address, calls):
        refused = _grant(*_with("--host", address), "--apply", token="", path=_az(tmp_path, "exit 1"))
    assert (refused.returncode, calls) == (2, [])
    assert "run `az login`" in refused.stderr


@pytest.mark.parametrize(
    ("token", "first_line"),
    [
        ("secret-token", "The token is that of DATABRICKS_TOKEN."),
        ("", "The token is that of `az login`."),
    ],
)
def test_grant_says_first_whose_token_it_uses(token: str, first_line: str) -> None:
    assert _grant(*GOOD, token=token).stdout.splitlines()[0] == first_line


@pytest.mark.parametrize(
    ("status", "token", "remedies"),
    [
        (401, "secret-token", ["refused the token", "unset DATABRICKS_TOKEN"]),
        (401, "", ["refused the token", "az account show"]),
        (403, "secret-token", ["an administrator of this workspace", "your IP address", "unset DATABRICKS_TOKEN"]),
        (403, "", ["an administrator of this workspace", "your IP address", "az account show"]),
        (404, "secret-token", ["there is no such pipeline"]),
    ],
)
def test_grant_stops_at_a_refusal_and_names_the_remedy_for_the_token_it_used(
    tmp_path: Path, status: int, token: str, remedies: list[str]
) -> None:
    with _server(status, {}) as (address, calls):
        path = _az(tmp_path, "echo login-token")
        refused = _grant(*_with("--host", address), "--apply", token=token, path=path)
    assert (refused.returncode, len(calls)) == (1, 1)
    assert [remedy for remedy in remedies if remedy not in refused.stderr] == []
    assert ("DATABRICKS_TOKEN" in refused.stderr) == (bool(token) and status != 404)


@pytest.fixture(scope="module")
def swept_app(azurite: str) -> Iterator[ServedApp]:
    """The app itself. Its one workspace was swept."""
    with served(azurite) as app:
        app.fire("sweep_runs")
        yield app


@pytest.mark.parametrize(
    ("since_minutes", "version", "code"),
    [
        (-1, None, 0),
        (-1, __version__, 0),
        (-1, "0.0.1", 1),
        (1, None, 1),
    ],
    ids=[
        "swept by this version",
        "by the named version",
        "by another version",
        "before the deployment had ended",
    ],
)
def test_a_deployment_is_well_once_its_own_version_has_swept(
    swept_app: ServedApp, since_minutes: int, version: str | None, code: int
) -> None:
    after = (datetime.now(UTC) + timedelta(minutes=since_minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    done = _await_sweep(swept_app.base_url, after, *([] if version is None else ["--version", version]))
    assert done.returncode == code, done.stdout + done.stderr
    assert '"lastSweep"' in done.stdout, "health is printed"
    if code == 0:
        assert f"Swept by version {__version__}: {swept_app.name}" in done.stdout


def test_red_lines_of_health_do_not_fail_a_deployment(swept_app: ServedApp) -> None:
    swept_app.databricks.add_fault("status", status=403, times=None)
    services.current().health.expire()
    assert swept_app.get("/api/health").status == 503
    assert _await_sweep(swept_app.base_url, "2026-01-01T00:00:00").returncode == 0, "a time without an offset is UTC"
    swept_app.databricks.clear_faults()


def test_the_health_that_azure_md_shows_is_that_of_the_app(swept_app: ServedApp) -> None:
    page = (INFRA.parent / "docs/azure.md").read_text()
    shown = json.loads(page.partition("/api/health\n")[2].partition("```")[0])
    services.current().health.expire()
    answered = json.dumps(swept_app.get("/api/health").json).replace(swept_app.name, "default")
    assert re.sub(r"\d+", "0", json.dumps(shown)) == re.sub(r"\d+", "0", answered)


@pytest.mark.parametrize("answer", [[], "down", {"workspaces": {"a": {"lastSweep": None}}}], ids=str)
def test_an_answer_without_a_sweep_is_waited_out(answer: object) -> None:
    with _server(503, answer) as (address, calls):
        done = _await_sweep(address, "2026-01-01T00:00:00Z", "--seconds", "0.2", "--pause", "0.1")
    assert done.returncode == 1
    assert "docs/runbook.md, no-sweep" in done.stderr
    assert len(calls) >= 2


def _await_sweep(*arguments: str) -> subprocess.CompletedProcess[str]:
    given = arguments if "--seconds" in arguments else (*arguments, "--seconds", "0")
    return subprocess.run([sys.executable, INFRA / "await-sweep", *given], capture_output=True, text=True, check=False)
