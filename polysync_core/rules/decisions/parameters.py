"""A pipeline's configuration -> a job's parameters; what a start sends of them. Pure.

Three kinds are imported: the plain top-level fields of `spec` (continuous, development, photon …), the entries of
`spec.configuration`, and the pipeline's own `parameters`. Their names must match a pattern of POLYSYNC_PARAMETERS.
Source of the shape: https://docs.databricks.com/api/azure/workspace/pipelines/get
"""

from __future__ import annotations

import fnmatch
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from polysync_core.rules.decisions.hidden_values import hide, is_secret
from polysync_core.values.databricks import PipelineSpec
from polysync_core.values.job import (
    FULL_REFRESH,
    DataType,
    Direction,
    FullRefresh,
    HiddenValue,
    ImportedValue,
    Parameter,
    Value,
)

DEFAULT_PATTERNS = "continuous,development,photon,spark.*,custom.*"
MAX_PATTERNS, MAX_PATTERN = 100, 200
_NOT_PARAMETERS = frozenset({"id", "name", FULL_REFRESH})
"""The job has its own fields for id and name; full_refresh is the user's."""
_FALSE_WHEN_MISSING = {"continuous": False, "development": False, "photon": False}
"""Databricks leaves them out of an answer when they are false."""
_BOOL = re.compile(r"true|false", re.IGNORECASE)
_INT = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?")
_EXACT_INT = 2**53
"""Beyond it a reader of JSON may lose digits, https://www.rfc-editor.org/rfc/rfc8259#section-6"""


def parse_patterns(text: str) -> tuple[str, ...]:
    """The patterns of a comma-separated list. ValueError says in one phrase what is malformed.

    A pattern is matched against the whole name, upper and lower case apart: `*` matches any text, `?` for one
    character, `[ab]` for one of some (and so `[*]` for a star itself). So `spark.*` matches spark.executor.cores, but
    neither spark nor Spark.x.
    """
    patterns = [part.strip() for part in text.split(",")]
    if len(patterns) > MAX_PATTERNS:
        raise ValueError(f"holds {len(patterns)} patterns; at most {MAX_PATTERNS} are allowed")
    for pattern in patterns:
        if not pattern:
            raise ValueError("holds an empty pattern (a comma too many)")
        if len(pattern) > MAX_PATTERN or not pattern.isprintable() or any(map(str.isspace, pattern)):
            raise ValueError(f"'{pattern[:40]}' must be 1 to {MAX_PATTERN} characters, without blanks")
        if "[" in _without_sets(pattern):
            raise ValueError(f"'{pattern[:40]}' opens a '[' that no ']' closes")
    return tuple(dict.fromkeys(patterns))


def _without_sets(pattern: str) -> str:
    """A ']' right after the '[' (or '[!') matches itself, as in fnmatch."""
    return re.sub(r"\[!?+\]?+[^\]]*\]", "", pattern)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportRules:
    """What an import keeps: names that match `patterns`; secrets only as a hash by `key`."""

    patterns: Sequence[str]
    key: bytes = field(repr=False)


def import_parameters(pipeline: PipelineSpec, rules: ImportRules) -> dict[str, ImportedValue]:
    """The parameters of a pipeline, in order of name. Lists, objects and nulls at the top of `spec` are not parameters.

    A top-level field goes before another entry of the same name, since it is the one that acts.
    """
    wanted = re.compile("|".join(fnmatch.translate(pattern) for pattern in rules.patterns))
    found: dict[str, object] = {}
    for entries in (pipeline.spec.get("configuration"), pipeline.parameters):
        if isinstance(entries, Mapping):
            found.update((str(name), value) for name, value in entries.items() if value is not None)
    found.update(_FALSE_WHEN_MISSING)
    found.update((name, value) for name, value in pipeline.spec.items() if isinstance(value, bool | int | float | str))
    values = {
        well_formed(name): read_value(value)
        for name, value in sorted(found.items())
        if name not in _NOT_PARAMETERS and wanted.match(name)
    }
    return {name: hide(name, value, rules.key) if is_secret(name, value) else value for name, value in values.items()}


def read_value(given: object) -> Value:
    """A JSON value as a parameter's: a boolean or number where that, written as text, is exactly what was given."""
    text = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
    if text in {"true", "false"}:
        return text == "true"
    if _INT.fullmatch(text) and len(text) <= 17:
        number = int(text)
        return number if abs(number) < _EXACT_INT and str(number) == text else text
    if _FLOAT.fullmatch(text) and len(text) <= 30:
        fraction = float(text)
        return fraction if math.isfinite(fraction) and json.dumps(fraction) == text else text
    return well_formed(text)


def data_type_of(value: Value) -> DataType:
    """Read off the value. Numbers with leading zeros are texts (they are identifiers), and so is what no double holds.

    A value that stayed text to keep its letters ("True", "3.10", an integer of 20 digits) has its type all the same.
    """
    text = value if isinstance(value, str) else json.dumps(value)
    if _BOOL.fullmatch(text):
        return DataType.BOOL
    if _INT.fullmatch(text):
        return DataType.INT
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)):
        return DataType.FLOAT
    return DataType.STRING


def is_same(one: ImportedValue | None, other: ImportedValue | None) -> bool:
    """Whether two values are equal and of one kind (Python holds True for equal to 1, and 0.0 to -0.0)."""
    return type(one) is type(other) and str(one) == str(other)


def well_formed(text: str) -> str:
    """`text` without halves of surrogate pairs, which JSON may carry and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# --- full_refresh


def is_forwarded(full_refresh: FullRefresh) -> bool:
    """The mission's table: sent on update for Input and Input&Output; Output is not supported."""
    return full_refresh.direction in {Direction.INPUT, Direction.BOTH}


def resolve_full_refresh(requested: bool | None, stored: FullRefresh | None) -> bool:
    """What a start sends: the request's word, else the job's stored one if it may be sent, else false."""
    if requested is not None:
        return requested
    return stored is not None and is_forwarded(stored) and stored.value


def show_parameters(imported: Mapping[str, ImportedValue], full_refresh: FullRefresh | None) -> tuple[Parameter, ...]:
    """A job's parameters as they are shown, by name. Imported ones are for reference: Input, never forwarded."""
    shown = [_show_imported(name, value) for name, value in imported.items()]
    if full_refresh is not None:
        shown.append(
            Parameter(
                name=FULL_REFRESH,
                value=full_refresh.value,
                data_type=DataType.BOOL,
                direction=full_refresh.direction,
                forwarded=is_forwarded(full_refresh),
            )
        )
    return tuple(sorted(shown, key=lambda parameter: parameter.name))


def _show_imported(name: str, value: ImportedValue) -> Parameter:
    hidden = isinstance(value, HiddenValue)
    shown = None if isinstance(value, HiddenValue) else value
    return Parameter(
        name=name,
        value=shown,
        data_type=DataType.STRING if shown is None else data_type_of(shown),
        direction=Direction.INPUT,
        forwarded=False,
        hidden=hidden,
    )
