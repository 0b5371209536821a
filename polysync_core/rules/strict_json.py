"""JSON as strangers send it: no name twice in one object, no NaN, no endless numbers. Pure."""

from __future__ import annotations

import json
from collections import Counter
from typing import NoReturn

MAX_DIGITS = 100


def decode_json(text: str | bytes) -> object:
    """Read JSON. ValueError says what is wrong with it; RecursionError when it is nested too deeply to be read."""
    return json.loads(
        text, object_pairs_hook=_object_without_repeats, parse_constant=_no_constant, parse_int=_short_int
    )


def _object_without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the name {twice[:40]!r} stands in one object twice")
    return found


def _short_int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise ValueError("it holds a number that is too long")
    return int(digits)


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
