"""The figures: each process writes a log, and only complete parts are summed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.chaos.figures import CaseLog, read_figures, write_figures
from tests.chaos.single import Result
from tests.chaos.verdicts import Verdict


def _result(name: str) -> Result:
    return Result(fault="delay", path="start", name=name, met=True, verdict=Verdict(starts=1, updates=1, tracked=1))


def _play(
    folder: Path, names: Sequence[str], *, shard: str = "1/1", commit: str = "abc1234", ends: bool = True
) -> None:
    log = CaseLog(folder, "singles", commit, shard)
    log.begin(resume=False)
    for name in names:
        log.add(_result(name))
    if ends:
        log.finish()


def _cases(folder: Path) -> list[str]:
    figures = folder / "figures.csv"
    write_figures(folder, figures)
    return [row["cases"] for row in read_figures(figures)]


def test_two_shares_are_one_part_and_count_only_when_both_are_whole(tmp_path: Path) -> None:
    _play(tmp_path, "ab", shard="1/2")
    assert _cases(tmp_path) == []
    _play(tmp_path, "cd", shard="2/2", ends=False)
    assert _cases(tmp_path) == [], "the second share was stopped"
    _play(tmp_path, "cd", shard="2/2")
    assert _cases(tmp_path) == ["4"]


def test_a_part_that_is_played_in_another_way_replaces_the_earlier_one(tmp_path: Path) -> None:
    _play(tmp_path, "abcd")
    _play(tmp_path, "ab", shard="1/2")
    _play(tmp_path, "cd", shard="2/2")
    assert _cases(tmp_path) == ["4"]


def test_a_resumed_log_keeps_the_whole_lines_of_its_own_commit(tmp_path: Path) -> None:
    _play(tmp_path, "a", commit="0ld0000")
    log = CaseLog(tmp_path, "singles", "new0000", "1/1")
    assert log.begin(resume=True) == {}
    log.add(_result("b"))
    (path,) = tmp_path.glob("*.jsonl")
    path.write_text(f'{path.read_text()}{{"part": "sing')
    assert list(log.begin(resume=True)) == ["b"]
    log.finish()
    assert _cases(tmp_path) == ["1"]


@pytest.mark.parametrize("other_part", ["pairs", "kills"])
def test_rows_of_other_parts_stay(tmp_path: Path, other_part: str) -> None:
    figures = tmp_path / "figures.csv"
    log = CaseLog(tmp_path / "first", other_part, "abc1234")
    log.begin(resume=False)
    log.add(_result("x"))
    log.finish()
    write_figures(tmp_path / "first", figures)
    _play(tmp_path / "second", "ab")
    write_figures(tmp_path / "second", figures)
    assert [row["part"] for row in read_figures(figures)] == sorted(["singles", other_part])
