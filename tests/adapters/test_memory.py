"""The values that a process remembers: one computation serves all callers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from math import inf

import pytest

from polysync_core.adapters.clock import Clock
from polysync_core.adapters.memory import CachedValue
from polysync_core.values.errors import StorageUnavailable

CALLERS = 8


@pytest.mark.parametrize("works", [True, False])
def test_callers_during_a_computation_share_its_result_or_its_error(works: bool) -> None:
    remembered = CachedValue[str](Clock(), inf)
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
