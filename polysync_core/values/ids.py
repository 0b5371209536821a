"""The ids that are used in paths and row keys, and the mission's composite run id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

ID_PATTERN = "[A-Za-z0-9_-]{1,64}"
_ID = re.compile(ID_PATTERN)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def is_id(text: str) -> bool:
    """Whether `text` can be a pipeline id or an update id: 1 to 64 letters, digits, '-' or '_'.

    The ids of Databricks are UUIDs. Only a text of this form is used in a path or a row key.
    """
    return _ID.fullmatch(text) is not None


def normal_id(text: str) -> str:
    """Return a UUID in lower case, as Databricks writes it. Any other id is returned unchanged.

    Databricks ignores the case of a UUID. Without this, two spellings would make two rows for one pipeline.
    """
    return text.lower() if _UUID.fullmatch(text) else text


@dataclass(frozen=True, slots=True, order=True)
class RunId:
    """The mission's composite run id, printed as "{pipeline_id}:{update_id}"."""

    pipeline_id: str
    update_id: str

    def __post_init__(self) -> None:
        if not (is_id(self.pipeline_id) and is_id(self.update_id)):
            raise ValueError("a run id is {pipeline_id}:{update_id}, each 1 to 64 letters, digits, '-' or '_'")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read "{pipeline_id}:{update_id}". Raises ValueError if the text has another form."""
        pipeline_id, _, update_id = text.partition(":")
        return cls(pipeline_id, update_id)

    def __str__(self) -> str:
        return f"{self.pipeline_id}:{self.update_id}"
