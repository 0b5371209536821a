"""Two instances of the app on one storage: a request that both get at the same time takes effect once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from local.workspace import SimulatedWorkspace

ROOT = Path(__file__).resolve().parents[2]
KEY = "two-hosts"
STARTS = 50


@contextmanager
def _host(environ: dict[str, str]) -> Iterator[str]:
    """Run a host in a process of its own, and yield its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "local.host", "--port", "0", "--enable-auth"],
        cwd=ROOT,
        env={**os.environ, **environ, "POLYSYNC_LOCAL_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Listening on "):
                yield line.split()[-1]
                break
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_fifty_simultaneous_starts_with_one_key_over_two_hosts_make_one_update(azurite: str) -> None:
    with ExitStack() as stack:
        workspace = stack.enter_context(SimulatedWorkspace(pace_seconds=None))
        environ = {
            **workspace.environ(),
            "POLYSYNC_TABLES": azurite,
            "POLYSYNC_PUBLIC_URL": "https://polysync.example",
            "POLYSYNC_SWEEP_SCHEDULE": "0 0 0 1 1 *",
            "POLYSYNC_CALLBACK_SCHEDULE": "0 0 0 1 1 *",
        }
        hosts = [stack.enter_context(_host(environ)) for _ in range(2)]
        pipeline_id = workspace.add_pipeline()

        def start(number: int) -> tuple[int, dict[str, Any]]:
            answer = requests.post(
                f"{hosts[number % 2]}/api/pipelines/{pipeline_id}/updates",
                data=json.dumps({"full_refresh": "true"}),
                headers={"x-functions-key": KEY, "Idempotency-Key": '"once"'},
                timeout=60,
            )
            return answer.status_code, answer.json()

        with ThreadPoolExecutor(STARTS) as pool:
            answers = [*pool.map(start, range(STARTS))]
        (update,) = workspace.updates_of(pipeline_id)
    assert [status for status, _ in answers] == [202] * STARTS
    assert {document["runId"] for _, document in answers} == {f"{pipeline_id}:{update.update_id}"}
    assert len({document["resultUrl"] for _, document in answers}) == 1
