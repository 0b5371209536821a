"""Import a pipeline's configuration as a job's parameters, and decide what a start sends of them. Pure.

An import takes the plain top-level fields of `spec` (continuous, development, photon …), the entries of
`spec.configuration` and the pipeline's own `parameters`. Their names must match a pattern of POLYSYNC_PARAMETERS.
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
from polysync_core.values.start_options import StartOptions

DEFAULT_PATTERNS = "continuous,development,photon,spark.*,custom.*"
MAX_PATTERNS, MAX_PATTERN = 100, 200
_NOT_PARAMETERS = frozenset({"id", "name", FULL_REFRESH})
"""The job has its own fields for id and name. The user sets full_refresh."""
_FALSE_WHEN_MISSING = {"continuous": False, "development": False, "photon": False}
"""Databricks leaves these out of a response when they are false."""
_BOOL = re.compile(r"true|false", re.IGNORECASE)
_INT = re.compile(r"-?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,4})?")
_EXACT_INT = 2**53
"""From this value on, a reader of JSON may lose digits: https://www.rfc-editor.org/rfc/rfc8259#section-6"""


def parse_patterns(text: str) -> tuple[str, ...]:
    """Return the patterns of a comma-separated list. Raises ValueError, which says what is malformed.

    A pattern is matched against the whole name. Case matters. `*` matches any text, `?` one character, `[ab]` one of
    these characters, and `[*]` a star. So `spark.*` matches spark.executor.cores, but neither spark nor Spark.x.
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
    """Return the pattern without its sets. A ']' right after '[' or '[!' belongs to the set, as in fnmatch."""
    return re.sub(r"\[!?+\]?+[^\]]*\]", "", pattern)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImportRules:
    """What an import keeps. Names must match `patterns`. Secrets are kept only as a hash with `key`."""

    patterns: Sequence[str]
    key: bytes = field(repr=False)


def import_parameters(pipeline: PipelineSpec, rules: ImportRules) -> dict[str, ImportedValue]:
    """Return the parameters of a pipeline, sorted by name. Top-level lists, objects and nulls of `spec` are left out.

    A top-level field replaces another entry of the same name, because Databricks uses the field.
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
    """Return a JSON value as a parameter's value.

    It is a boolean or number if that, written as text, is exactly what was given. Otherwise it is text.
    """
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
    """Return the type of a value, from its text form.

    Numbers with leading zeros are String, because they are identifiers. Floats too large for a double are String too.
    A value may be stored as text to keep its exact form, such as "True", "3.10" or an integer of 20 digits. Its type is
    still Bool, Float or Int.
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
    """Whether two values have the same type and text. (In Python True equals 1, and 0.0 equals -0.0.)"""
    return type(one) is type(other) and str(one) == str(other)


def well_formed(text: str) -> str:
    """Return `text` with halves of surrogate pairs replaced. JSON may hold them, but UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# --- full_refresh


def is_forwarded(full_refresh: FullRefresh) -> bool:
    """Whether a start sends full_refresh. By the mission, it does for Input and Input&Output, but not for Output."""
    return full_refresh.direction in {Direction.INPUT, Direction.BOTH}


def resolve_full_refresh(requested: bool | None, stored: FullRefresh | None, options: StartOptions) -> bool:
    """Return the full_refresh that a start sends.

    It is the value in the request, else the job's stored value if it may be sent, else false. A stored true would
    contradict a selection or a validation, so a request with `options` does not get the job's value.
    """
    if requested is not None or options:
        return requested or False
    return stored is not None and is_forwarded(stored) and stored.value


def show_parameters(imported: Mapping[str, ImportedValue], full_refresh: FullRefresh | None) -> tuple[Parameter, ...]:
    """Return a job's parameters as callers see them, sorted by name. Imported ones are Input and never forwarded."""
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
