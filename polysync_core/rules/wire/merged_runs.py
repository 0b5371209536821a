"""The list of the runs of all workspaces, newest first: what to search next, and which runs are certain. Pure.

Runs are ordered by their key (row_keys.recent), then by the name of their workspace. A run is certain when no
workspace can still hold an earlier one that is not known. Only certain runs are returned, so none is skipped.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field, TypeAdapter

from polysync_core.rules.rows import row_keys
from polysync_core.rules.wire.all_workspaces import decode_place, encode_place
from polysync_core.values.run import Run

_GROUPS = 64
"""A continuation holds one number for each group of workspaces, so its length is limited."""
_DIGITS = 14
_END: int = 10**_DIGITS - 1
"""The time of a workspace that was searched to its end. Every run was accepted after 1970, which is there."""
_Time = Annotated[int, Field(ge=0, le=_END)]


@dataclass(frozen=True, kw_only=True, slots=True)
class RunsPlace:
    """Where the list continues: after the run with this `key` in this `workspace`. Both are "" at the start.

    `ahead` holds the groups of workspaces that were searched further. A group has no more runs to return before its
    time, which counts the milliseconds that are left, as in the key of a `recent` row.
    """

    key: Annotated[str, Field(pattern=r"^(recent\|[0-9]{14}\|[A-Za-z0-9_:-]+)?$")]
    workspace: str
    ahead: Mapping[Annotated[int, Field(ge=0, lt=_GROUPS)], _Time] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchedRuns:
    """What is known of one workspace: its `runs` after the place, in order, up to the key `upto`.

    `upto` is None when the workspace was searched to its end.
    """

    workspace: str
    upto: str | None
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class MergedRuns:
    """A page: the runs with the names of their workspaces, and the place of the next page. None at the end."""

    runs: tuple[tuple[str, Run], ...]
    place: RunsPlace | None


START = RunsPlace(key="", workspace="")
_MODEL = TypeAdapter(RunsPlace)


def encode_runs_place(place: RunsPlace) -> str:
    return encode_place(place, _MODEL)


def decode_runs_place(given: str | None) -> RunsPlace:
    """Return the place that a caller sent back. For None, it is the start. Raises InvalidRequest."""
    return START if given is None else decode_place(given, _MODEL)


def begin_search(place: RunsPlace, names: Iterable[str]) -> tuple[SearchedRuns, ...]:
    """The workspaces before anything is read: each was searched by earlier pages up to its own key."""
    return tuple(SearchedRuns(workspace=name, upto=_upto(place, name)) for name in names)


def plan_search(searched: Iterable[SearchedRuns], limit: int) -> list[SearchedRuns]:
    """Return the workspaces that a page of `limit` runs needs to have searched further, the furthest behind first.

    The page needs one run more, which shows that there is a next page. A workspace that was searched up to that run
    can add nothing to the page.
    """
    parts = [*searched]
    needed = [key for key, _, _ in _in_order(parts)][limit : limit + 1]
    behind = [
        (part.upto, _group_of(part.workspace), part.workspace, part)
        for part in parts
        if part.upto is not None and (not needed or part.upto < needed[0])
    ]
    return [part for *_, part in sorted(behind, key=lambda ordered: ordered[:3])]


def merge_runs(searched: Iterable[SearchedRuns], limit: int, place: RunsPlace) -> MergedRuns:
    """Return the first `limit` runs that are certain. `place` is where this page began."""
    parts = [*searched]
    certain = min((part.upto for part in parts if part.upto is not None), default=None)
    known = [found for found in _in_order(parts) if certain is None or found[0] <= certain]
    page = known[:limit]
    runs = tuple((workspace, run) for _, workspace, run in page)
    if certain is None and len(known) == len(page):
        return MergedRuns(runs=runs, place=None)
    key, workspace = page[-1][:2] if page else (place.key, place.workspace)
    ahead: dict[int, int] = {}
    for part in parts:
        group, time = _group_of(part.workspace), _next_time(part, key, workspace)
        ahead[group] = min(time, ahead.get(group, time))
    began = _time_of(key)
    return MergedRuns(
        runs=runs,
        place=RunsPlace(
            key=key,
            workspace=workspace,
            ahead={group: time for group, time in sorted(ahead.items()) if time > began},
        ),
    )


def _in_order(parts: Sequence[SearchedRuns]) -> list[tuple[str, str, Run]]:
    found = [(row_keys.recent(run.run_id, run.accepted_at), part.workspace, run) for part in parts for run in part.runs]
    return sorted(found, key=lambda item: item[:2])


def _upto(place: RunsPlace, workspace: str) -> str | None:
    """The key up to which all runs of the workspace were returned or ruled out. None when these were all."""
    time = place.ahead.get(_group_of(workspace), 0)
    if time == _END:
        return None
    if time > _time_of(place.key):
        return f"{row_keys.RECENT}{time:0{_DIGITS}d}"
    return place.key if workspace <= place.workspace or not place.key else _just_before(place.key)


def _just_before(key: str) -> str:
    """A text that sorts before `key`, and after every other key before it: ids hold no '~', which sorts last."""
    return f"{key[:-1]}{chr(ord(key[-1]) - 1)}~"


def _next_time(part: SearchedRuns, key: str, workspace: str) -> int:
    """The time before which the workspace has no more runs, now that the list has come to `key` and `workspace`."""
    left = [found for found, name, _ in _in_order([part]) if (found, name) > (key, workspace)]
    if left:
        return _time_of(left[0])
    if part.upto is None:
        return _END
    is_whole = part.upto.endswith("|~")  # then all runs of that millisecond were searched
    return min(_time_of(part.upto) + is_whole, _END)


def _time_of(key: str) -> int:
    """The time in a key, or 0 for the beginning."""
    return int(key[len(row_keys.RECENT) :][:_DIGITS] or 0)


def _group_of(workspace: str) -> int:
    return zlib.crc32(workspace.encode()) % _GROUPS
