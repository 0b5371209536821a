"""What a start may ask of Databricks besides full_refresh. The fields have Databricks' own names.

Source: StartUpdate of https://github.com/databricks/databricks-sdk-py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from polysync_core.values.stored import Kept

SETTING = "POLYSYNC_START_OPTIONS"
"""Names the start options that callers may send. By default they may send none."""
VALIDATE_ONLY = "validate_only"
SELECTIONS = ("refresh_selection", "full_refresh_selection", "reset_checkpoint_selection")
START_OPTIONS = (*SELECTIONS, VALIDATE_ONLY)


@dataclass(frozen=True, kw_only=True, slots=True)
class StartOptions(Kept):
    """The start options of one update. An empty selection, or false, means that the option was not given.

    The first two selections name tables. The third one names flows, whose checkpoints are reset. False if no option was
    given that this version knows.
    """

    refresh_selection: tuple[str, ...] = ()
    full_refresh_selection: tuple[str, ...] = ()
    reset_checkpoint_selection: tuple[str, ...] = ()
    validate_only: bool = False

    def __bool__(self) -> bool:
        return bool(self.given())

    @property
    def are_all_known(self) -> bool:
        """Whether this version knows every option. A later version may have stored others."""
        return not self.unknown

    def names_in(self, selection: str) -> tuple[str, ...]:
        """The names in one of SELECTIONS."""
        names: tuple[str, ...] = getattr(self, selection)
        return names

    def given(self) -> Mapping[str, object]:
        """The options that were given, as members of a JSON object."""
        lists = {name: list(self.names_in(name)) for name in SELECTIONS if self.names_in(name)}
        return lists | ({VALIDATE_ONLY: True} if self.validate_only else {})

    def normal(self) -> StartOptions:
        """The same options in one spelling. The order of names means nothing."""
        chosen: dict[str, Any] = {name: tuple(sorted(map(normal_name, self.names_in(name)))) for name in SELECTIONS}
        return StartOptions(**chosen, validate_only=self.validate_only)


NO_OPTIONS = StartOptions()


def normal_name(name: str) -> str:
    """The name of a table in one spelling. Databricks ignores case, and backticks only quote.

    Source: https://docs.databricks.com/sql/language-manual/sql-ref-names.html
    """
    return name.replace("`", "").lower()
