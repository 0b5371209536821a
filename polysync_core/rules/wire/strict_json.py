"""Read JSON from untrusted callers. Duplicate names, NaN, very long numbers and deep nesting are refused. Pure."""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import NoReturn

MAX_DIGITS, MAX_NESTING = 100, 32


def decode_json(text: str | bytes) -> object:
    """Read JSON. Raises ValueError, which says what is wrong.

    Raises RecursionError if the JSON is nested deeper than MAX_NESTING. Bytes must be UTF-8, with or without a byte
    order mark. (json itself would accept UTF-16 and UTF-32 too.) Raises UnicodeError, a ValueError, for other bytes and
    for an escape that makes half of a surrogate pair.
    """
    value: object = json.loads(
        text if isinstance(text, str) else text.decode("utf-8-sig"),
        object_pairs_hook=_object_without_repeats,
        parse_constant=_no_constant,
        parse_int=lambda literal: int(_short(literal)),
        parse_float=_finite,
    )
    if _is_deeper(value, MAX_NESTING):
        raise RecursionError
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _is_deeper(value: object, levels: int) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_is_deeper(entry, levels - 1) for entry in inner)


def _object_without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"the name {twice[:40]!r} occurs twice in one object")
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
    raise ValueError(f"{name} is not JSON")
