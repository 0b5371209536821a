"""Talks with Databricks that are made hard, and what a process remembers while things are hard."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from math import inf

import pytest

from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.adapters.databricks import Databricks, HttpPool
from polysync_core.adapters.entra import DATABRICKS_SCOPE, EntraTokens, build_credential
from polysync_core.adapters.memory import Remembered
from polysync_core.errors import DatabricksUnreachable, StorageUnavailable
from polysync_core.model import Workspace
from tests.rig import ManualClock

CALLERS = 8


class _SlowTokens(EntraTokens):
    """Real tokens, ten seconds each."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(lambda: build_credential(os.environ), clock)
        self._manual_clock = clock

    def token(self, scope: str = DATABRICKS_SCOPE) -> str:
        self._manual_clock.pass_time(seconds=10)
        return super().token(scope)


def test_no_post_begins_when_the_second_token_of_a_resource_took_too_long(
    workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    named = Workspace(name="w", url=workspace.url, resource_id="/subscriptions/s/resourceGroups/g")
    talk = Databricks(named, HttpPool(), _SlowTokens(clock), clock).converse(60)
    pipeline_id = workspace.add_pipeline()
    with pytest.raises(DatabricksUnreachable, match="nothing was sent"):
        talk.start_update(pipeline_id, False, timeout_seconds=5, begins_within=15)
    assert workspace.updates_of(pipeline_id) == []


@pytest.mark.parametrize("works", [True, False])
def test_who_asks_while_a_value_is_made_shares_what_comes_of_it(works: bool) -> None:
    remembered = Remembered[str](Clock(), inf)
    made = 0
    all_ask, go_on = threading.Barrier(CALLERS), threading.Event()

    def make() -> str:
        nonlocal made
        made += 1
        go_on.wait(10)
        if not works:
            raise StorageUnavailable("Silent.")
        return "the value"

    def ask() -> str:
        all_ask.wait()
        try:
            return remembered.get(make)
        except StorageUnavailable as error:
            return error.detail

    with ThreadPoolExecutor(CALLERS) as pool:
        asking = [pool.submit(ask) for _ in range(CALLERS)]
        threading.Timer(0.3, go_on.set).start()
        answers = {future.result() for future in asking}
    assert answers == {"the value" if works else "Silent."}
    assert made == 1
    assert works or remembered.get(lambda: "the next time") == "the next time"
