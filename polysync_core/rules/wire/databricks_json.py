"""Read the parts of Databricks' JSON. A part that is missing, or of the wrong kind, is None or left out. Pure."""

from __future__ import annotations

from datetime import UTC, datetime

from polysync_core.values.ids import is_id, normal_id
from polysync_core.values.run import JsonObject

_MAX_TEXT = 1000
_YEARS = range(1601, 9999)
"""Table Storage stores no time before 1601. To a time in 9999, no duration can be added safely."""
_CUT = "\n…\n"


def instant_of(value: object) -> datetime | None:
    """Read epoch milliseconds. They are an int in an update, and a string in the list of pipelines.

    ISO 8601 was seen in that list too, and is the form of the event log.
    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        if isinstance(value, str) and not value.isdecimal():
            instant = datetime.fromisoformat(value)
            instant = instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
        else:
            instant = datetime.fromtimestamp(int(value) / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return instant if instant.year in _YEARS else None


def text_of(value: object, most: int = _MAX_TEXT) -> str | None:
    """Return the first `most` characters of the text."""
    return value[:most] if isinstance(value, str) and value else None


def ends_of(value: object, most: int) -> str | None:
    """Return the text. One of more than `most` characters keeps its start and its end, since both matter."""
    if not isinstance(value, str) or len(value) <= most:
        return value if isinstance(value, str) and value else None
    kept = most - len(_CUT)
    return f"{value[: kept - kept // 2]}{_CUT}{value[len(value) - kept // 2 :]}"


def id_of(value: object) -> str | None:
    return normal_id(value) if isinstance(value, str) and is_id(value) else None


def objects_of(value: object) -> list[JsonObject]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def page_token_of(payload: JsonObject) -> str | None:
    """Return the page token, whole. A part of a token would be useless."""
    token = payload.get("next_page_token")
    return token if isinstance(token, str) and token else None
