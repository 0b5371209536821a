"""The long form: every fault on every call, one at a time; then kill -9 at random moments; and the control of both.

    python -m tests.chaos [--kills 500] [--seed N] [--only TEXT] [--skip singles|kills]

Exits with 1 when anything is doubled, lost, wrong …, and when the control, whose starts reserve nothing, shows nothing.
"""

from __future__ import annotations

import argparse
import logging
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.chaos import table
from tests.chaos.judging import NOTHING, Verdict
from tests.chaos.kills import KillRun, run_kills
from tests.chaos.single import Case, Result, all_cases, control_cases, play_case
from tests.chaos.stage import Stage

CONTROL_KILLS = 15
_TELL_EVERY = 100


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Break things, and count.")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of the kills; printed")
    parser.add_argument("--only", default="", metavar="TEXT", help="of the single faults those whose line holds this")
    parser.add_argument("--skip", choices=["singles", "kills"])
    options = parser.parse_args()
    for name in ("azure", "polysync", "urllib3"):
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no host is left behind
    good = True
    if options.skip != "singles":
        good = _singles(options.only)
    if options.skip != "kills":
        good = _kills(options.kills, options.seed) and good
    return 0 if good else 1


def _singles(only: str) -> bool:
    with Stage() as stage:
        cases = [case for case in all_cases(stage) if only in str(case)]
        print(f"{len(cases)} cases: every fault on every call that was recorded, one at a time", flush=True)
        results = _play(stage, cases)
        control = _play(stage, control_cases(cases), reserving=False)
    missed = [str(result.case) for result in results if not result.met]
    print(*table.lines(table.by_fault_and_path(results)), "", sep="\n")
    print(f"faults that met no call: {len(missed)}", *missed, sep="\n  ")
    total = sum((result.verdict for result in results), NOTHING)
    return _shows_something(sum((result.verdict for result in control), NOTHING)) and total.is_good


def _play(stage: Stage, cases: Sequence[Case], *, reserving: bool = True) -> list[Result]:
    results = []
    began = time.monotonic()
    for number, case in enumerate(cases, 1):
        result = play_case(stage, case, reserving=reserving)
        results.append(result)
        if reserving and not result.verdict.is_good:
            print(case, *result.verdict.findings, sep="\n    ", flush=True)
        if number % _TELL_EVERY == 0:
            print(f"{number} cases, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return results


def _kills(kills: int, seed: int) -> bool:
    with tempfile.TemporaryDirectory(prefix="polysync-chaos-") as folder:
        verdict = run_kills(KillRun(kills=kills, seed=seed), Path(folder, "host.log"))
        control = run_kills(KillRun(kills=CONTROL_KILLS, seed=seed, reserving=False), Path(folder, "control.log"))
    print(*table.lines({(f"kill -9, {kills} times", "any"): verdict}), *verdict.findings, "", sep="\n", flush=True)
    return _shows_something(control) and verdict.is_good


def _shows_something(control: Verdict) -> bool:
    """The control is there to go wrong."""
    print(*table.lines({("control: no reservation", ""): control}), "", sep="\n", flush=True)
    return control.lost + control.doubled > 0


if __name__ == "__main__":
    sys.exit(main())
