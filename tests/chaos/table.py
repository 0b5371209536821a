"""Turns verdicts into a table: fault, path, and counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests.chaos.single import Result
from tests.chaos.verdicts import NOTHING, Verdict

COLUMNS = ("fault", "place", "cases", "starts", "updates", "tracked", "doubled", "lost", "twice", "wrong", "untrue",
            "left", "bugs", "callbacks owed / delivered")  # fmt: skip


def by_fault_and_path(results: Iterable[Result]) -> dict[tuple[str, str], Verdict]:
    """Return the sum for each fault and path, ordered by fault."""
    sums: dict[tuple[str, str], Verdict] = {}
    for result in results:
        where = (result.fault, result.path)
        sums[where] = sums.get(where, NOTHING) + result.verdict
    return dict(sorted(sums.items(), key=lambda item: item[0][0]))


def lines(sums: Mapping[tuple[str, str], Verdict]) -> list[str]:
    """Return a table in Markdown. With more than one row, its last row is the total."""
    total = sum(sums.values(), NOTHING)
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(_row(*where, verdict) for where, verdict in sums.items())]
    if len(sums) > 1:
        rows.append(_row("all", "", total))
    return [f"| {' | '.join(row)} |" for row in rows]


def _row(fault: str, place: str, verdict: Verdict) -> tuple[str, ...]:
    counts = verdict.counts()
    told = f"{counts.pop('owed'):,} / {counts.pop('delivered'):,}"
    return (fault, place, *(f"{count:,}" for count in counts.values()), told)
