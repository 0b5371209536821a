"""The scripts of infra/, run as people and workflows run them, against a server on a loopback address."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

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


def _grant(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "DATABRICKS_TOKEN": "secret-token"}
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


def test_grant_stops_at_a_refusal_and_names_the_remedy() -> None:
    with _server(403, {}) as (address, calls):
        refused = _grant(*_with("--host", address), "--apply")
    assert (refused.returncode, len(calls)) == (1, 1)
    assert "administrator" in refused.stderr


@pytest.mark.parametrize(
    ("version", "at", "code"),
    [
        ("2", "2026-01-01T00:00:30Z", 0),
        ("1", "2026-01-01T00:00:30Z", 1),
        ("2", "2025-12-31T23:59:59Z", 1),
    ],
    ids=["swept by the new version", "swept by the old version", "swept before the deployment"],
)
def test_a_deployment_is_well_once_its_own_version_has_swept(version: str, at: str, code: int) -> None:
    document = {"version": "2", "workspaces": {"a": {"lastSweep": {"at": at, "version": version}}, "b": {}}}
    with _server(503, document) as (address, _):
        arguments = [address, "2026-01-01T00:00:00Z", "--seconds", "0"]
        done = subprocess.run([sys.executable, INFRA / "await-sweep", *arguments], capture_output=True, check=False)
    assert done.returncode == code
