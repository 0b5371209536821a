"""JSON as strangers send it: UTF-8, no name twice in one object, no NaN, no endless or infinite numbers. Pure."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import NoReturn

MAX_DIGITS = 100


def decode_json(text: str | bytes) -> object:
    """Read JSON. ValueError says what is wrong with it; RecursionError when it is nested too deeply to be read.

    Bytes are UTF-8, with or without its mark (json itself would take UTF-16 and UTF-32 too): else UnicodeError.
    """
    return json.loads(
        text if isinstance(text, str) else text.decode("utf-8-sig"),
        object_pairs_hook=_object_without_repeats,
        parse_constant=_no_constant,
        parse_int=lambda literal: int(_short(literal)),
        parse_float=_finite,
    )


def _object_without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the name {twice[:40]!r} stands in one object twice")
    return found


def _finite(literal: str) -> float:
    number = float(_short(literal))
    if math.isinf(number):
        raise ValueError("it holds a number that is too large")
    return number


def _short(literal: str) -> str:
    if sum(map(str.isdigit, literal)) > MAX_DIGITS:
        raise ValueError("it holds a number that is too long")
    return literal


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
