"""Decode the start options of a request, which an app allows by a setting. Pure.

Sources of what contradicts: the Databricks CLI (bundle/run/pipeline_options.go) takes no other option beside a
validation or a full refresh of all tables. Spark (PipelinesHandler.createTableFilters) refuses a table in both
selections.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from polysync_core.rules.wire.http_contract import Flag, refuse
from polysync_core.values.start_options import SELECTIONS, VALIDATE_ONLY, StartOptions, normal_name

MAX_NAMES, MAX_NAME = 200, 767
"""Of one selection. A table's name has three parts of at most 255 characters, and two dots."""
_MAX_OPTIONS = 30_000
_NAME_PATTERN = r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$"
_NAME = re.compile(_NAME_PATTERN.replace("$", r"\Z"))
_ALLOWED = (
    f"must be a list of 1 to {MAX_NAMES} names, each a string of 1 to {MAX_NAME} characters, without control "
    "characters and without blanks around it"
)


def read_selection(value: object) -> object:
    """Read the names of tables or flows, or None. An empty list is refused: Databricks would refresh all tables."""
    if value is None:
        return None
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_NAMES or not all(map(_is_name, value)):
        raise PydanticCustomError("selection", _ALLOWED)
    name, count = Counter(map(normal_name, value)).most_common(1)[0]
    if count > 1:
        raise PydanticCustomError("selection", "must not name {name} twice", {"name": name[:80]})
    return value


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_NAME and _NAME.match(value) is not None


_Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME, pattern=_NAME_PATTERN)]
_Names = Annotated[list[_Name], Field(min_length=1, max_length=MAX_NAMES, json_schema_extra={"uniqueItems": True})]
Selection = Annotated[list[str] | None, BeforeValidator(read_selection, json_schema_input_type=_Names | None)]
FIELDS = {**dict.fromkeys(SELECTIONS, Selection), VALIDATE_ONLY: Flag}
"""The fields of a start's body, by their name."""


def decode_options(body: BaseModel, full_refresh: bool | None) -> StartOptions:
    """Return the start options of a body, which may lack their fields. Raises InvalidRequest for a contradiction."""
    given = {name: getattr(body, name, None) for name in FIELDS}
    selections: dict[str, Any] = {name: tuple(given[name] or ()) for name in SELECTIONS}
    options = StartOptions(**selections, validate_only=given[VALIDATE_ONLY] or False)
    chosen = [name for name in SELECTIONS if selections[name]]
    if options and full_refresh:
        name = next(iter(options.given()))
        refuse(name, "contradicts full_refresh; give one of them", given[name])
    if options.validate_only and chosen:
        refuse(
            VALIDATE_ONLY, f"contradicts {chosen[0]}, because a validation refreshes nothing; give one of them", True
        )
    refreshed = set(map(normal_name, options.refresh_selection))
    both = [name for name in options.full_refresh_selection if normal_name(name) in refreshed]
    if both:
        refuse("full_refresh_selection", "names a table of refresh_selection too; name it in one of them", both[0])
    if len(json.dumps(options.given(), ensure_ascii=False).encode("utf-16-le")) > 2 * _MAX_OPTIONS:
        refuse(chosen[0], f"names must be at most {_MAX_OPTIONS} characters together")
    return options
