"""Columns of a table's row: written as plain values, read back with suspicion."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import TypeAdapter

from polysync_core.values.errors import RowUnreadable

Columns = dict[str, object]
_T = TypeVar("_T")
PIECE = 32_000
"""Characters a column: Table Storage holds 32,768 UTF-16 units, https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model"""


def dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def without_nones(columns: Columns) -> Columns:
    return {name: value for name, value in columns.items() if value is not None}


class Row:
    """Typed access to columns that somebody may have spoilt."""

    def __init__(self, columns: Mapping[str, object]) -> None:
        self._columns = columns

    def get(self, name: str, kind: type[_T]) -> _T | None:
        value = self._columns.get(name)
        if value is None:
            return None
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise RowUnreadable(f"The column {name} of a stored row is of the wrong kind.")
        return value

    def need(self, name: str, kind: type[_T]) -> _T:
        value = self.get(name, kind)
        if value is None:
            raise RowUnreadable(f"The column {name} of a stored row is missing.")
        return value

    def instant(self, name: str) -> datetime:
        """A plain aware UTC datetime (the library's own subclass compares by its ticks only)."""
        return _plain(self.need(name, datetime))

    def instant_or_none(self, name: str) -> datetime | None:
        value = self.get(name, datetime)
        return None if value is None else _plain(value)

    def json(self, name: str, kind: type[_T]) -> _T:
        try:
            value = json.loads(self.need(name, str))
        except (ValueError, RecursionError) as wrong:
            raise RowUnreadable(f"The column {name} of a stored row is no JSON.") from wrong
        if not isinstance(value, kind):
            raise RowUnreadable(f"The column {name} of a stored row is of the wrong kind.")
        return value

    def parse(self, name: str, form: TypeAdapter[_T]) -> _T:
        """A column of JSON, read strictly: every value in it has to be of the kind that `form` says."""
        try:
            return form.validate_json(self.need(name, str), strict=True)
        except ValueError as wrong:
            raise RowUnreadable(f"The column {name} of a stored row is spoilt.") from wrong


def _plain(value: datetime) -> datetime:
    value = value if value.tzinfo else value.replace(tzinfo=UTC)
    return datetime.fromtimestamp(0, UTC) + (value - datetime.fromtimestamp(0, UTC))
