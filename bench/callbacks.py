"""Callbacks that are due at once: how fast delivery passes send them to one host, with hosts beside it that hang.

    python -m bench.callbacks [--runs 1000] [--answer-ms 100] [--silent 9]

The receivers are in a process of their own, as Azurite is. The passes come one after another, as the timer's ticks do.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from local.azurite import Azurite
from local.receiver import Receiver
from local.rig import Rig
from local.seeding import owe_callbacks
from local.workspace import SimulatedWorkspace
from polysync_core.adapters.clock import Clock
from polysync_core.use_cases import delivering

MOST_PASSES = 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.callbacks", description="Deliveries, measured.")
    parser.add_argument("--runs", type=int, default=1_000, help="finished runs, each with a callback to one host")
    parser.add_argument("--answer-ms", type=float, default=100.0, help="of that host")
    parser.add_argument("--silent", type=int, default=9, help="hosts that hang, each with 60 callbacks")
    options = parser.parse_args()
    print(f"{options.runs} callbacks to one host that answers in {options.answer_ms:g} ms\n")
    print("hosts that hang  passes  seconds  a second  seconds of the slowest pass")
    for silent in (0, options.silent):
        print(_row(options.runs, options.answer_ms / 1000, silent), flush=True)


def _row(runs: int, answer_seconds: float, silent: int) -> str:
    with Azurite() as azurite, SimulatedWorkspace() as workspace, _receivers(answer_seconds, silent) as receivers:
        os.environ.update(workspace.environ())
        (live, *dead), ask_for_last = receivers
        hosts = ",".join(url.split("/")[2] for url in (live, *dead))
        name = f"b-{uuid.uuid4().hex[:8]}"
        urls = {name: workspace.url}
        rig = Rig(azurite.connection_string, urls, workspace, Clock(), POLYSYNC_CALLBACK_HOSTS=hosts)
        for url in dead:
            owe_callbacks(rig, url, 60)
        owe_callbacks(rig, live, runs)
        left, passes, slowest = runs, 0, 0.0
        began = time.monotonic()
        while left > 0 and passes < MOST_PASSES:
            pass_began = time.monotonic()
            report = delivering.deliver_callbacks([rig.ws], rig.services.sender, None)
            slowest = max(slowest, time.monotonic() - pass_began)
            left, passes = left - report.delivered, passes + 1
        seconds = ask_for_last() - began
    sent = runs - left
    return f"{silent:>15} {passes:>7} {seconds:>8.1f} {sent / seconds:>9.0f} {slowest:>28.1f}"


@contextmanager
def _receivers(answer_seconds: float, silent: int) -> Iterator[tuple[list[str], Callable[[], float]]]:
    """The addresses of one receiver that answers, and of `silent` receivers that hang.

    And a function that returns when the first one got its last callback, in seconds of time.monotonic().
    """
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=_serve, args=(theirs, answer_seconds, silent), daemon=True)
    process.start()
    try:
        yield ours.recv(), lambda: _ask(ours)
    finally:
        ours.send(None)
        process.join()


def _ask(pipe: Connection) -> float:
    pipe.send("when")
    at: float = pipe.recv()
    return at


def _serve(pipe: Connection, answer_seconds: float, silent: int) -> None:
    over = threading.Event()
    last = [0.0]

    def answer(_: object) -> None:
        time.sleep(answer_seconds)
        last[0] = time.monotonic()

    receivers = [Receiver(before=answer)]
    receivers += [Receiver(before=lambda _: over.wait(60)) for _ in range(silent)]
    for receiver in receivers:
        receiver.__enter__()
    pipe.send([receiver.url() for receiver in receivers])
    while pipe.recv() is not None:
        pipe.send(last[0])
    over.set()


if __name__ == "__main__":
    main()
