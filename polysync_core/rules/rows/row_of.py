"""Encode dataclasses as columns of a row and decode them. One description of a row serves both directions.

Names and codecs follow from the dataclass. For example, `accepted_at: datetime` is stored in the column acceptedAt. A
reader ignores columns that it does not know, and a value of the kind Kept carries them until it is written back. A
missing column gets the field's default. A missing column without a default, and bad content, raise RowUnreadable.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args, get_origin, get_type_hints

from polysync_core.rules.rows.pieces import fits
from polysync_core.values.errors import RowUnreadable
from polysync_core.values.ids import RunId, is_id
from polysync_core.values.stored import Kept

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Columns = dict[str, object]
_KEYS = ("PartitionKey", "RowKey")
_T = TypeVar("_T")
_D = TypeVar("_D", bound="DataclassInstance")


@dataclass(frozen=True, slots=True)
class Codec:
    """How one value is stored in one column. For bad content, `decode` raises ValueError, TypeError or KeyError."""

    encode: Callable[[Any], object]
    decode: Callable[[Any], Any]


def dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


class RowOf(Generic[_D]):
    """Encodes and decodes one dataclass.

    - `names` maps fields to column names that are not the field's name in camel case.
    - `codecs` holds the codecs of fields whose codec does not follow from their type.
    - `inline` holds fields whose own fields are columns of this row.
    - `given` are fields that the caller encodes and decodes.
    - `leave_out_empty` are fields that get no column while they are empty.
    - `derived` are columns that are stored only for filters. They are never decoded.
    - `beside` are other columns of the row that do not belong to the value.
    - `in_json` means that the columns are members of a JSON object, so times are text.
    """

    def __init__(
        self,
        kind: type[_D],
        *,
        names: Mapping[str, str] = types.MappingProxyType({}),
        codecs: Mapping[str, Codec] = types.MappingProxyType({}),
        inline: Mapping[str, RowOf[Any]] = types.MappingProxyType({}),
        given: tuple[str, ...] = (),
        leave_out_empty: tuple[str, ...] = (),
        derived: Mapping[str, Callable[[_D], object]] = types.MappingProxyType({}),
        beside: tuple[str, ...] = (),
        in_json: bool = False,
    ) -> None:
        self._kind, self._inline, self._derived, self._in_json = kind, inline, derived, in_json
        self._leave_out_empty = leave_out_empty
        hints = get_type_hints(kind)
        self._is_kept = issubclass(kind, Kept)
        own = [field for field in fields(kind) if field.name not in {*given, *(field.name for field in fields(Kept))}]
        self._parts = [(field, inline[field.name]) for field in own if field.name in inline]
        self._columns = [
            (
                field,
                names.get(field.name) or _camel(field.name),
                codecs.get(field.name) or codec_of(hints[field.name], in_json=in_json),
            )
            for field in own
            if field.name not in inline
        ]
        self._known = frozenset({*_KEYS, *beside, *derived, *(name for _, name, _ in self._columns)})

    @property
    def first_column(self) -> str:
        """The column that shows whether a row holds such a value: it is present exactly then."""
        return self._columns[0][1]

    def encode(self, value: _D) -> Columns:
        columns: Columns = self._encode_unknown(value.unknown) if isinstance(value, Kept) else {}
        for field, name, codec in self._columns:
            content = getattr(value, field.name)
            if content is not None and not (field.name in self._leave_out_empty and _is_empty(content)):
                columns[name] = codec.encode(content)
            elif self._in_json:
                columns[name] = None
        for field, part in self._parts:
            content = getattr(value, field.name)
            columns |= {} if content is None else part.encode(content)
        return columns | {name: derive(value) for name, derive in self._derived.items()}

    def decode(self, columns: Mapping[str, object], **given: object) -> _D:
        """Return the value. Raises RowUnreadable, which names the column that is missing or unreadable."""
        found = dict(given)
        for field, name, codec in self._columns:
            content = columns.get(name)
            if content is not None:
                try:
                    found[field.name] = codec.decode(content)
                except (ValueError, TypeError, KeyError, RecursionError, OverflowError, RowUnreadable) as wrong:
                    raise RowUnreadable(f"The column {name} of a stored row cannot be read.") from wrong
            elif not _has_default(field):
                if "None" not in str(field.type):
                    raise RowUnreadable(f"The column {name} of a stored row is missing.")
                found[field.name] = None
        for field, part in self._parts:
            if field.default is not None or columns.get(part.first_column) is not None:
                found[field.name] = part.decode(columns)
        if self._is_kept:
            found["unknown"] = {name: columns[name] for name in columns.keys() - self._known}
        return self._kind(**found)

    def _encode_unknown(self, unknown: Mapping[str, object]) -> Columns:
        """Return what the row can hold of `unknown`. A column that storage refuses would hold up the whole run.

        A run's JSON and its rows share `unknown`: a list or an object of the JSON is text in a column.
        """
        if self._in_json:
            return {name: content for name, content in unknown.items() if not isinstance(content, datetime)}
        encoded = {
            name: dump(content) if isinstance(content, dict | list) else content for name, content in unknown.items()
        }
        return {
            name: content
            for name, content in encoded.items()
            if name.isidentifier() and name not in self._known and _fits(content)
        }


def _is_empty(content: object) -> bool:
    """Whether there is nothing to store. What another version has added is stored too."""
    return not content and not (isinstance(content, Kept) and content.unknown)


def _fits(content: object) -> bool:
    """Whether a column can hold it: https://learn.microsoft.com/rest/api/storageservices/understanding-the-table-service-data-model"""
    if isinstance(content, str):
        return fits(content)
    return content is not None and not (type(content) is int and abs(content) >= 1 << 31)


def _camel(name: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


# --- codecs


def codec_of(hint: Any, *, in_json: bool = False) -> Codec:
    """Return the codec of a type: text, number, time, enum, run id or dataclass. A tuple of these is stored as JSON."""
    if isinstance(hint, types.UnionType):
        (hint,) = (part for part in get_args(hint) if part is not type(None))
    if get_origin(hint) is tuple:
        item = codec_of(get_args(hint)[0], in_json=True)
        return _as_column(lambda value: [item.encode(one) for one in value], partial(_decode_list, item), in_json)
    if isinstance(hint, type) and is_dataclass(hint) and hint is not RunId:
        row: RowOf[Any] = RowOf(hint, in_json=True)
        return _as_column(row.encode, lambda value: row.decode(_of_kind(dict, value)), in_json)
    if hint is RunId:
        return Codec(str, lambda value: RunId.parse(_of_kind(str, value)))
    if hint is datetime:
        return Codec(datetime.isoformat, _decode_iso) if in_json else Codec(_same, _decode_instant)
    if hint is float:
        return Codec(_same, _decode_float)
    if issubclass(hint, Enum):
        return Codec(lambda value: value.value, lambda value: hint(_of_kind(str, value)))
    return Codec(_same, partial(_of_kind, hint))


def list_of(row: RowOf[Any], *, in_json: bool = False) -> Codec:
    """Return the codec of a tuple of such values. The tuple is one column of JSON, or a list in a JSON object."""
    item = Codec(row.encode, lambda value: row.decode(_of_kind(dict, value)))
    return _as_column(lambda value: [row.encode(one) for one in value], partial(_decode_list, item), in_json)


def _as_column(encode: Callable[[Any], object], decode: Callable[[Any], Any], in_json: bool) -> Codec:
    if in_json:
        return Codec(encode, decode)
    return Codec(lambda value: dump(encode(value)), lambda text: decode(json.loads(_of_kind(str, text))))


def _decode_list(item: Codec, value: object) -> tuple[Any, ...]:
    return tuple(item.decode(one) for one in _of_kind(list, value))


def _same(value: object) -> object:
    return value


def _of_kind(kind: type[_T], value: object) -> _T:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(kind.__name__)
    return value


def _decode_float(value: object) -> float:
    """Accept an int too. JSON may hold 12 for 12.0, and Python accepts an int where a float is declared."""
    return value if isinstance(value, float) else float(_of_kind(int, value))


def _decode_instant(value: object) -> datetime:
    """Return a plain aware UTC datetime. The table library's subclass of datetime compares only its ticks.

    Text is accepted too: an older version writes a field that it does not know as the JSON has it.
    """
    instant = _decode_iso(value) if isinstance(value, str) else _of_kind(datetime, value)
    instant = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return datetime.fromtimestamp(0, UTC) + (instant - datetime.fromtimestamp(0, UTC))


def _decode_iso(value: object) -> datetime:
    instant = datetime.fromisoformat(_of_kind(str, value))
    if instant.tzinfo is None:
        raise ValueError("a time without its zone")
    return instant


def _decode_id(value: object) -> str:
    text = _of_kind(str, value)
    if not is_id(text):
        raise ValueError("not an id")
    return text


ID = Codec(_same, _decode_id)
"""A pipeline id or an update id."""
