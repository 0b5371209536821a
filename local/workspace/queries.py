"""Decodes query strings: page sizes, page tokens, filters, orders. Pure.

Source of the filters and bounds: docstrings of databricks-sdk-py, PipelinesAPI.list_pipelines and list_pipeline_events.
The Databricks CLI sends the filter `update_id = '…'`.
"""

from __future__ import annotations

import base64
import binascii
import json
import operator
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from local.messages import Request
from local.workspace.wire import bad_parameter

Event = dict[str, Any]

_QUOTED = r"'(?:[^']|'')*'"
_NAME_FILTER = re.compile(rf"\s*name\s+like\s+({_QUOTED})\s*", re.IGNORECASE)
_EVENT_CLAUSE = re.compile(
    rf"\s*(level|id|update_id|timestamp)\s*(>=|<=|=|>|<|\bin\b)\s*({_QUOTED}|\(\s*{_QUOTED}(?:\s*,\s*{_QUOTED})*\s*\))"
    r"\s*(\band\b|$)",
    re.IGNORECASE,
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def page_size(request: Request, *, default: int, maximum: int) -> int:
    """Return `max_results`, a whole number from 1 to `maximum`. A larger number is an error, not a smaller page."""
    text = request.query_value("max_results")
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= maximum:
        raise bad_parameter(f"max_results must be a number between 1 and {maximum}, got '{text}'.")
    return int(text)


def encode_page_token(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def decode_page_token(text: str, *, of: str) -> dict[str, Any]:
    """Return the value of a token that the listing `of` issued. Raises Refusal 400 for any other text."""
    try:
        value = json.loads(base64.urlsafe_b64decode(text.encode()))
    except (binascii.Error, ValueError):
        value = None
    if not isinstance(value, dict) or value.get("of") != of:
        raise bad_parameter(f"Invalid page_token '{text}'.")
    return value


def order(request: Request, *, fields: tuple[str, ...], default: str) -> tuple[str, bool]:
    """Return the field of `order_by`, and whether the order is descending. Raises Refusal 400 for any other text."""
    values = request.values.get("order_by") or [default]
    words = values[0].lower().split()
    if (
        len(values) > 1
        or len(words) not in (1, 2)
        or words[0] not in fields
        or words[1:] not in ([], ["asc"], ["desc"])
    ):
        raise bad_parameter(f"Unsupported order_by {values}: one of {', '.join(fields)}, asc or desc.")
    return words[0], words[1:] == ["desc"]


def name_filter(text: str) -> re.Pattern[str]:
    """Return a regular expression for the filter `name LIKE 'pattern'`. It matches the whole name.

    In the pattern % stands for any text and _ for one character. Raises Refusal 400 for any other filter.
    """
    matched = _NAME_FILTER.fullmatch(text)
    if matched is None:
        raise bad_parameter(f"Unsupported filter \"{text}\": only name LIKE '%text%'.")
    wildcards = {"%": ".*", "_": "."}
    return re.compile("".join(wildcards.get(char) or re.escape(char) for char in _unquoted(matched[1])), re.DOTALL)


def event_filter(text: str) -> Callable[[Event], bool]:
    """Return a predicate for clauses on level, id, update_id and timestamp that are joined by AND."""
    clauses: list[Callable[[Event], bool]] = []
    position, joined = 0, True
    while joined:
        matched = _EVENT_CLAUSE.match(text, position)
        if matched is None:
            raise bad_parameter(f'Unsupported filter "{text}".')
        values = [_unquoted(quoted) for quoted in re.findall(_QUOTED, matched[3])]
        clauses.append(
            _event_clause(matched[1].lower(), matched[2].lower(), values, is_list=matched[3].startswith("("))
        )
        position, joined = matched.end(), bool(matched[4])
    return lambda event: all(clause(event) for clause in clauses)


def _event_clause(name: str, sign: str, values: list[str], *, is_list: bool) -> Callable[[Event], bool]:
    if is_list != (sign == "in") or (name != "timestamp" and sign not in ("=", "in")):
        raise bad_parameter(f"Unsupported comparison {name} {sign}.")
    if name == "timestamp":
        if sign == "in":
            raise bad_parameter("Unsupported comparison timestamp in.")
        compare, bound = _COMPARISONS[sign], _timestamp(values[0])
        return lambda event: compare(_timestamp(event["timestamp"]), bound)
    if name == "update_id":
        return lambda event: event["origin"].get("update_id") in values
    return lambda event: event[name] in values


def _timestamp(text: str) -> datetime:
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        value = None
    if value is None or value.tzinfo is None:
        raise bad_parameter(f"Invalid timestamp '{text}': ISO 8601 with an offset.")
    return value


def _unquoted(quoted: str) -> str:
    return quoted[1:-1].replace("''", "'")
