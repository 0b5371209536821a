"""Stores the results of each part: one line per case while it plays, and docs/chaos-figures.csv at the end.

A part that was stopped can resume from these lines. They also let two processes share the singles.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.chaos.single import Result
from tests.chaos.verdicts import NOTHING, Verdict

HEAD = ("part", "commit", "fault", "place")
COUNTS = tuple(NOTHING.counts())


_DONE = "done"
"""The last line of a complete log."""


class CaseLog:
    """The results of one part at one commit, kept in a file of JSON lines.

    `shard` tells the processes apart that share a part: "1/2" is the first of two.
    """

    def __init__(self, folder: Path, part: str, commit: str, shard: str = "1/1") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._part, self._commit = folder, part, commit
        self._shares = shard.partition("/")[2]
        self._path = folder / f"{part}-{shard.replace('/', '-of-')}.jsonl"

    def begin(self, *, resume: bool) -> dict[str, Result]:
        """Start the file again. With `resume`, keep the results of this commit and return them by name."""
        for other in self._folder.glob(f"{self._part}-*-of-*.jsonl"):
            if not other.stem.endswith(f"-of-{self._shares}"):
                other.unlink()  # from a run with another number of shards
        kept = [entry for entry in _entries(self._path) if entry["commit"] == self._commit] if resume else []
        self._path.write_text("".join(f"{json.dumps(entry)}\n" for entry in kept))
        return {str(entry["name"]): _result(entry) for entry in kept}

    def add(self, result: Result) -> None:
        self._append(
            {
                "part": self._part,
                "commit": self._commit,
                "fault": result.fault,
                "place": result.path,
                "name": result.name,
                "met": result.met,
                "counts": result.verdict.counts(),
                "findings": result.verdict.findings,
            }
        )

    def finish(self) -> None:
        """Mark the log as complete. Only complete logs go into the figures."""
        self._append(_DONE)

    def _append(self, entry: object) -> None:
        with self._path.open("a") as file:
            file.write(f"{json.dumps(entry)}\n")


def _entries(path: Path) -> list[dict[str, Any]]:
    """Return the results in a log. An incomplete last line, left by a kill, is ignored."""
    if not path.exists():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("}\n")]


def _is_whole(path: Path) -> bool:
    """Whether this log is complete, and the logs of all processes that share its part."""
    start, _, shares = path.stem.rpartition("-of-")
    part = start.rpartition("-")[0]
    logs = [path.with_name(f"{part}-{share}-of-{shares}.jsonl") for share in range(1, int(shares) + 1)]
    return all(log.exists() and log.read_text().endswith(f"{json.dumps(_DONE)}\n") for log in logs)


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
    """Write the sums of every complete part in `folder` to the file `figures`. Rows of other parts stay unchanged."""
    sums: dict[tuple[str, ...], Verdict] = {}
    for file in filter(_is_whole, sorted(folder.glob("*.jsonl"))):
        for entry in _entries(file):
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
    """Return the rows of the file, each by column. Return an empty list when there is no file."""
    if not figures.exists():
        return []
    with figures.open(newline="") as source:
        return list(csv.DictReader(source))


def _texts(verdict: Verdict) -> dict[str, str]:
    return {name: str(count) for name, count in verdict.counts().items()}


def _order(row: Mapping[str, str]) -> list[str]:
    return [row[name] for name in ("part", "fault", "place")]
