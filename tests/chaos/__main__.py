"""The long form, part by part: every fault on every call, two faults in one start, outages, races, kill -9, two days of
soak, and the control.

    python -m tests.chaos [singles] [pairs] [outages] [races] [kills] [soak] [--seed N] [--only TEXT] [--kills 500] …
    python -m tests.chaos singles --shard 1/2      beside another process with --shard 2/2
    python -m tests.chaos singles --resume         goes on where the last one of this commit was stopped

Without a part's name all of them. It exits with 1 when anything is doubled, lost or wrong, when a fault met no call, or
when memory grew by more than a tenth. It does too when a control, whose starts reserve nothing, shows nothing.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from tests.chaos import table
from tests.chaos.figures import CaseLog, write_figures
from tests.chaos.host_process import ROOT
from tests.chaos.kills import KillRun, run_kills
from tests.chaos.outages import OUTAGES, play_outage
from tests.chaos.pairs import all_pairs, play_pair
from tests.chaos.races import Races, run_races
from tests.chaos.single import Result, all_cases, control_cases, play_case
from tests.chaos.soak import MOST_GROWTH, Soak, run_soak
from tests.chaos.stage import Stage
from tests.chaos.verdicts import NOTHING, Verdict

CONTROL = "control: no reservation"
CONTROL_KILLS = 15
_TELL_EVERY = 100
_Case = TypeVar("_Case")


def main() -> int:
    options = _options()
    options.commit = _commit()  # once: the figures, written at the end, are a change of the working tree
    for name in ("azure", "polysync", "urllib3"):
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no host is left behind
    print(_heading(options.commit, options.seed), "", sep="\n", flush=True)
    results = [part(options) for part in options.parts or _PARTS.values()]
    if not options.only:
        write_figures(options.cases, options.figures)
    return 0 if all(results) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Break things, and count.")
    parser.add_argument("parts", nargs="*", type=_part, metavar="PART", help=f"of {', '.join(_PARTS)}; none: all")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of all but the singles; printed")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="of the first three parts the cases whose line holds this"
    )
    parser.add_argument(
        "--shard", type=_shard, default="1/1", metavar="I/N", help="play the I-th of N shares of the singles"
    )
    parser.add_argument("--resume", action="store_true", help="skip the singles that this commit has played already")
    parser.add_argument("--cases", type=Path, default=ROOT / ".chaos", help="the folder of the results case by case")
    parser.add_argument("--figures", type=Path, default=ROOT / "docs" / "chaos-figures.csv")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--races", type=int, default=100)
    parser.add_argument("--hours", type=float, default=48.0, help="of simulated time, of the soak")
    parser.add_argument("--runs", type=int, default=500, help="of the soak")
    parser.add_argument("--rate", type=float, default=0.01, help="share of the soak's calls that meet a fault")
    return parser.parse_args()


def _shard(text: str) -> str:
    share, _, shares = text.partition("/")
    if not (share.isdecimal() and shares.isdecimal() and 1 <= int(share) <= int(shares)):
        raise argparse.ArgumentTypeError(f"{text!r} is not I/N with I from 1 to N")
    return text


def _part(name: str) -> Callable[[argparse.Namespace], bool]:
    if name not in _PARTS:
        raise argparse.ArgumentTypeError(f"there is no part {name!r}; there are {', '.join(_PARTS)}")
    return _PARTS[name]


def _heading(commit: str, seed: int) -> str:
    """Date, machine, commit of the app, and seed."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, "
        f"commit {commit}, seed {seed}"
    )


def _commit() -> str:
    described = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return described.stdout.strip() or "unknown"


def _singles(options: argparse.Namespace) -> bool:
    began = time.monotonic()
    with Stage() as stage:
        share, shares = map(int, options.shard.split("/"))
        cases = [case for case in all_cases(stage) if options.only in str(case)][share - 1 :: shares]
        print(f"{len(cases)} cases: every fault on every call that was recorded, one at a time", flush=True)
        log = CaseLog(options.cases, "singles", options.commit, options.shard)
        results = _played(play_case, stage, cases, log, log.begin(resume=options.resume))
        control = [play_case(stage, case, reserving=False) for case in control_cases(cases)]
    good = _print_results(results, began)
    log = CaseLog(options.cases, "control of the singles", options.commit, options.shard)
    log.begin(resume=False)
    for result in control:
        log.add(replace(result, fault=CONTROL))
    log.finish()
    shown = _print_control(f"the {len(control)} worst of them", _total(control))
    return good and (shown or not control)


def _pairs(options: argparse.Namespace) -> bool:
    began = time.monotonic()
    with Stage() as stage:
        pairs = [pair for pair in all_pairs() if options.only in str(pair)]
        return _print_results(_played(play_pair, stage, pairs, _log_of(options, "pairs")), began)


def _outages(options: argparse.Namespace) -> bool:
    began = time.monotonic()
    with Stage() as stage:
        outages = [outage for outage in OUTAGES if options.only in str(outage)]
        return _print_results(_played(play_outage, stage, outages, _log_of(options, "outages")), began)


def _log_of(options: argparse.Namespace, part: str, **verdicts: Verdict) -> CaseLog:
    """Start an empty log of a part. `verdicts` are the results by fault of a part that has no cases."""
    log = CaseLog(options.cases, part, options.commit)
    log.begin(resume=False)
    for fault, verdict in verdicts.items():
        log.add(Result(fault=fault, path="any", name=fault, met=True, verdict=verdict))
    if verdicts:
        log.finish()
    return log


def _played(
    play: Callable[[Stage, _Case], Result],
    stage: Stage,
    cases: Sequence[_Case],
    log: CaseLog,
    played_before: Mapping[str, Result] = MappingProxyType({}),
) -> list[Result]:
    results = []
    began = time.monotonic()
    for number, case in enumerate(cases, 1):
        if (known := played_before.get(str(case))) is not None:
            results.append(known)
            continue
        result = play(stage, case)
        log.add(result)
        results.append(result)
        if not result.verdict.is_good:
            print(case, *result.verdict.findings, sep="\n    ", flush=True)
        if number % _TELL_EVERY == 0:
            _tell(f"{number} cases, {time.monotonic() - began:.0f} s")
    log.finish()
    return results


def _print_results(results: Sequence[Result], began: float) -> bool:
    """Print the results. Return whether every verdict is good and every fault met its call."""
    missed = [result.name for result in results if not result.met]
    _print_table(table.by_fault_and_path(results), began)
    print(f"faults that met no call: {len(missed)}", *missed, sep="\n  ", flush=True)
    return _total(results).is_good and not missed


def _total(results: Iterable[Result]) -> Verdict:
    return sum((result.verdict for result in results), NOTHING)


def _races(options: argparse.Namespace) -> bool:
    began = time.monotonic()
    verdict = run_races(Races(rounds=options.races, seed=options.seed), _tell)
    what = f"all at once, {options.races} times"
    _log_of(options, "races", **{what: verdict})
    _print_table({(what, "any"): verdict}, began)
    return verdict.is_good


def _kills(options: argparse.Namespace) -> bool:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="polysync-chaos-") as folder:
        run = KillRun(kills=options.kills, seed=options.seed)
        verdict = run_kills(run, Path(folder, "host.log"), _tell)
        what = f"kill -9, {options.kills} times"
        _log_of(options, "kills", **{what: verdict})
        _print_table({(what, "any"): verdict}, began)
        run = KillRun(kills=CONTROL_KILLS, seed=options.seed, reserving=False)
        control = run_kills(run, Path(folder, "control.log"), _tell)
        _log_of(options, "control of the kills", **{CONTROL: control})
    return _print_control(f"kill -9, {CONTROL_KILLS} times", control) and verdict.is_good


def _soak(options: argparse.Namespace) -> bool:
    began = time.monotonic()
    soak = Soak(hours=options.hours, runs=options.runs, rate=options.rate, seed=options.seed)
    result = run_soak(soak, _tell)
    what = f"soak, {soak.hours:g} h, {soak.rate:.1%} of the calls"
    _log_of(options, "soak", **{what: result.verdict})
    _print_table({(what, "any"): result.verdict}, began)
    print(
        f"{result.calls:,} calls, {result.faults:,} faults, {result.tokens:,} tokens; memory after the first "
        f"hour {result.first_bytes / 1e6:.1f} MB, at the end {result.last_bytes / 1e6:.1f} MB ({result.growth:+.1%})"
    )
    return result.verdict.is_good and result.growth <= MOST_GROWTH


_PARTS: Mapping[str, Callable[[argparse.Namespace], bool]] = {
    "singles": _singles,
    "pairs": _pairs,
    "outages": _outages,
    "races": _races,
    "kills": _kills,
    "soak": _soak,
}


def _print_table(sums: Mapping[tuple[str, str], Verdict], began: float) -> None:
    total = sum(sums.values(), NOTHING)
    print(*table.lines(sums), "", sep="\n")
    print(*total.findings, f"({time.monotonic() - began:,.0f} s)", sep="\n", flush=True)


def _print_control(what: str, control: Verdict) -> bool:
    """Print the control. Return whether it lost or doubled an update, as it should."""
    print(*table.lines({(CONTROL, what): control}), "", sep="\n", flush=True)
    return control.lost + control.doubled > 0


def _tell(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
