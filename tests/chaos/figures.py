"""Keeps what each part of the chaos counted: a line a case while it plays, docs/chaos-figures.csv at its end.

The lines make a part that was stopped resumable, and let two processes share the singles.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.chaos.single import Result
from tests.chaos.verdicts import NOTHING, Verdict

HEAD = ("part", "commit", "fault", "place")
COUNTS = tuple(NOTHING.counts())


class CaseLog:
    """The results of one part, kept in a file of JSON lines. `shard` tells processes apart that share the part."""

    def __init__(self, folder: Path, part: str, commit: str, shard: str = "") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"{part}{shard and '-'}{shard.replace('/', '-of-')}.jsonl"
        self._part, self._commit = part, commit

    def begin(self, *, resume: bool) -> dict[str, Result]:
        """Start the file afresh, or return by name the results of this commit that it holds already."""
        if not resume:
            self._path.write_text("")
            return {}
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        kept = [entry for line in lines if (entry := json.loads(line))["commit"] == self._commit]
        return {entry["name"]: _result(entry) for entry in kept}

    def add(self, result: Result) -> None:
        entry = {
            "part": self._part,
            "commit": self._commit,
            "fault": result.fault,
            "place": result.path,
            "name": result.name,
            "met": result.met,
            "counts": result.verdict.counts(),
            "findings": result.verdict.findings,
        }
        with self._path.open("a") as file:
            file.write(json.dumps(entry) + "\n")


def _result(entry: Mapping[str, object]) -> Result:
    counts, findings = entry["counts"], entry["findings"]
    assert isinstance(counts, dict)
    assert isinstance(findings, list)
    verdict = Verdict(**counts, findings=tuple(findings))
    return Result(
        fault=str(entry["fault"]),
        path=str(entry["place"]),
        name=str(entry["name"]),
        met=entry["met"] is True,
        verdict=verdict,
    )


def write_figures(folder: Path, figures: Path) -> None:
    """Write the sums of every part that `folder` holds into `figures`. Rows of other parts stay as they are."""
    sums: dict[tuple[str, ...], Verdict] = {}
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            where = tuple(str(entry[name]) for name in HEAD)
            sums[where] = sums.get(where, NOTHING) + _result(entry).verdict
    played = {where[0] for where in sums}
    kept = [row for row in read_figures(figures) if row["part"] not in played]
    rows = [dict(zip(HEAD, where, strict=True)) | _texts(verdict) for where, verdict in sums.items()]
    with figures.open("w", newline="") as target:
        writer = csv.DictWriter(target, [*HEAD, *COUNTS], lineterminator="\n")
        writer.writeheader()
        writer.writerows(sorted([*kept, *rows], key=_order))


def read_figures(figures: Path) -> Sequence[Mapping[str, str]]:
    """The rows of the file, each by column; none when there is no file."""
    if not figures.exists():
        return []
    with figures.open(newline="") as source:
        return list(csv.DictReader(source))


def _texts(verdict: Verdict) -> dict[str, str]:
    return {name: str(count) for name, count in verdict.counts().items()}


def _order(row: Mapping[str, str]) -> list[str]:
    return [row[name] for name in ("part", "fault", "place")]
