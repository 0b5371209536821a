"""The app's settings: read once, validated together, every bad one named in one error.

Names and meanings: README, "Settings". A blank value counts as not set.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

from croniter import croniter

from polysync_core.rules.decisions import callback_addresses
from polysync_core.rules.decisions.callback_addresses import HostRule
from polysync_core.rules.decisions.parameters import DEFAULT_PATTERNS, parse_patterns
from polysync_core.rules.decisions.run_transitions import TransitionLimits
from polysync_core.rules.decisions.sweep_rules import SweepLimits
from polysync_core.rules.wire.setting_values import (
    parse_address,
    parse_connection_string,
    parse_host_of_app,
    parse_signing_secret,
    parse_whole_number,
    parse_workspace,
    parse_workspaces,
)
from polysync_core.values.errors import SettingsError
from polysync_core.values.workspace import TablesAddress, Workspace

DEFAULT_WORKSPACE = "default"
EVERY_15_SECONDS = "*/15 * * * * *"
SWEEP_SCHEDULE = "POLYSYNC_SWEEP_SCHEDULE"
CALLBACK_SCHEDULE = "POLYSYNC_CALLBACK_SCHEDULE"
HOURLY = "0 0 * * * *"
DISCOVERY_SCHEDULE = "POLYSYNC_DISCOVERY_SCHEDULE"
PARAMETERS = "POLYSYNC_PARAMETERS"
SIGNING_SETTING = "POLYSYNC_CALLBACK_SECRET"
SETTING_NAMES = frozenset(
    {
        "DATABRICKS_HOST",
        "POLYSYNC_WORKSPACES",
        "POLYSYNC_TABLES",
        SWEEP_SCHEDULE,
        CALLBACK_SCHEDULE,
        DISCOVERY_SCHEDULE,
        PARAMETERS,
        "POLYSYNC_PUBLIC_URL",
        "POLYSYNC_STATUS_MAX_AGE_SECONDS",
        "POLYSYNC_LOST_AFTER_MINUTES",
        "POLYSYNC_START_SETTLE_SECONDS",
        callback_addresses.SETTING,
        SIGNING_SETTING,
        "POLYSYNC_RETRY_GRACE_SECONDS",
        "POLYSYNC_RUN_TIMEOUT_MINUTES",
        "POLYSYNC_RETENTION_DAYS",
    }
)
_PREFIX = "POLYSYNC_"
_MISSPELT = 0.86
"""Names more similar than this (difflib ratio) count as typos: POLYSYNC_TABEL does, POLYSYNC_CALLBACK_URL does not."""
_UNIT = re.compile(r"_(SECONDS|MINUTES|HOURS|DAYS)$")
_MONTH = r"(JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|[0-9*/,-])+"
_WEEKDAY = r"(SUN|MON|TUE|WED|THU|FRI|SAT|[0-6*/,-])+"
_SCHEDULE = re.compile(rf"([0-9*/,-]+ ){{4}}{_MONTH} {_WEEKDAY}", re.IGNORECASE)
"""What both NCRONTAB and croniter understand alike: six fields, names of three letters, Sunday is 0."""
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All settings, valid. `parameters` are the patterns of names to import (rules/parameters says how they match).

    `notes` are faults that a safe default covers; health shows them.
    """

    workspaces: tuple[Workspace, ...]
    tables: TablesAddress
    public_url: str | None
    status_max_age_seconds: int
    lost_after_minutes: int
    start_settle_seconds: int
    retry_grace_seconds: int
    run_timeout_minutes: int | None
    retention_days: int
    callback_hosts: tuple[HostRule, ...]
    callback_secret: str | None = field(repr=False)
    parameters: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def sweep_limits(self) -> SweepLimits:
        """What these settings say about a sweep, and about every transition of a run."""
        return SweepLimits(
            transitions=TransitionLimits(
                lost_after=timedelta(minutes=self.lost_after_minutes),
                retry_grace=timedelta(seconds=self.retry_grace_seconds),
            ),
            settle_seconds=self.start_settle_seconds,
            retention=timedelta(days=self.retention_days),
        )

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read every setting; SettingsError names all that are missing, malformed, misspelt or contradictory."""
        return _Reader(environ).settings()


def ignored_names(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The names that look like settings, and neither are any nor resemble one: somebody else's, perhaps."""
    return tuple(name for name in _unknown(environ) if _meant(name) is None)


def _unknown(environ: Mapping[str, str]) -> list[str]:
    ours = [name for name in environ if name.startswith(_PREFIX) and not name.startswith(f"{_PREFIX}LOCAL_")]
    return sorted(set(ours) - SETTING_NAMES)


def _meant(name: str) -> str | None:
    """The setting that a name is a misspelling of; one with another unit, or none, is close to it too."""
    known = {_UNIT.sub("", setting): setting for setting in SETTING_NAMES}
    near = difflib.get_close_matches(_UNIT.sub("", name), known, n=1, cutoff=_MISSPELT)
    return known[near[0]] if near else None


def sweep_schedule(environ: Mapping[str, str]) -> str:
    """The timer's schedule, read when the app is indexed; an invalid setting falls back to every 15 s."""
    return _schedule(environ, SWEEP_SCHEDULE, EVERY_15_SECONDS)[0]


def callback_schedule(environ: Mapping[str, str]) -> str:
    """The schedule of the timer that delivers callbacks, with the same fall-back."""
    return _schedule(environ, CALLBACK_SCHEDULE, EVERY_15_SECONDS)[0]


def discovery_schedule(environ: Mapping[str, str]) -> str:
    """The timer's schedule, read when the app is indexed; an invalid setting falls back to every hour."""
    return _schedule(environ, DISCOVERY_SCHEDULE, HOURLY)[0]


def _schedule(environ: Mapping[str, str], name: str, default: str) -> tuple[str, str | None]:
    """The schedule to use for a timer, and a note when the setting is invalid and the default is used instead.

    Schedules are NCRONTAB with six fields, seconds first; read when the app is indexed, before anything can answer.
    """
    given = environ.get(name, "").strip()
    if not given:
        return default, None
    if _SCHEDULE.fullmatch(" ".join(given.split())):
        try:
            croniter(given, datetime(2000, 1, 1, tzinfo=UTC), second_at_beginning=True, day_or=False).get_next()
        except (ValueError, KeyError):
            pass
        else:
            return given, None
    return default, f"{name} is not an NCRONTAB schedule of six fields (like '{default}'); '{default}' is used instead."


def _patterns(given: str) -> tuple[str, ...]:
    try:
        return parse_patterns(given)
    except ValueError as wrong:
        raise ValueError(f"{wrong}; give names and patterns like '{DEFAULT_PATTERNS}'") from None


class _Reader:
    """Collects the problems of one environment while its settings are read."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._problems: list[str] = []

    def settings(self) -> Settings:
        self._check_names()
        workspaces, tables = self._workspaces(), self._tables()
        public_url = self._public_url()
        hosts = self._text(callback_addresses.SETTING) or callback_addresses.DEFAULT_HOSTS
        patterns = self._text(PARAMETERS) or DEFAULT_PATTERNS
        secret = self._text(SIGNING_SETTING)
        settings = Settings(
            workspaces=workspaces,
            tables=tables or TablesAddress(),
            public_url=public_url,
            status_max_age_seconds=self._number("POLYSYNC_STATUS_MAX_AGE_SECONDS", 30, least=1, most=3600),
            lost_after_minutes=self._number("POLYSYNC_LOST_AFTER_MINUTES", 60, least=1, most=43200),
            start_settle_seconds=self._number("POLYSYNC_START_SETTLE_SECONDS", 120, least=0, most=3600),
            retry_grace_seconds=self._number("POLYSYNC_RETRY_GRACE_SECONDS", 60, least=0, most=3600),
            run_timeout_minutes=self._number("POLYSYNC_RUN_TIMEOUT_MINUTES", 0, least=1, most=43200) or None,
            retention_days=self._number("POLYSYNC_RETENTION_DAYS", 90, least=1, most=3650),
            callback_hosts=self._read(callback_addresses.SETTING, lambda: callback_addresses.parse_hosts(hosts)) or (),
            callback_secret=self._read(SIGNING_SETTING, lambda: parse_signing_secret(secret)) if secret else None,
            parameters=self._read(PARAMETERS, lambda: _patterns(patterns)) or (),
            notes=self._notes(),
        )
        if self._problems:
            raise SettingsError(self._problems)
        return settings

    def _text(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def _wrong(self, name: str, remedy: str) -> None:
        self._problems.append(f"{name}: {remedy}.")

    def _read(self, name: str, parse: Callable[[], _T]) -> _T | None:
        """What `parse` returns. When it raises ValueError, the problem is noted and None returned."""
        try:
            return parse()
        except ValueError as wrong:
            self._wrong(name, str(wrong))
            return None

    def _check_names(self) -> None:
        for name in _unknown(self._environ):
            if meant := _meant(name):
                self._wrong(name, f"is not a setting of Polysync; did you mean {meant}")

    def _number(self, name: str, default: int, *, least: int, most: int) -> int:
        given = self._text(name)
        number = self._read(name, lambda: parse_whole_number(given, least, most)) if given else default
        return default if number is None else number

    def _notes(self) -> tuple[str, ...]:
        schedules = ((SWEEP_SCHEDULE, EVERY_15_SECONDS), (CALLBACK_SCHEDULE, EVERY_15_SECONDS))
        read = [_schedule(self._environ, name, default) for name, default in (*schedules, (DISCOVERY_SCHEDULE, HOURLY))]
        return tuple(note for _, note in read if note)

    def _workspaces(self) -> tuple[Workspace, ...]:
        host, listed = self._text("DATABRICKS_HOST"), self._text("POLYSYNC_WORKSPACES")
        if host and listed:
            self._wrong("DATABRICKS_HOST and POLYSYNC_WORKSPACES", "set only one of them")
        elif host:
            url = self._read("DATABRICKS_HOST", lambda: parse_address(host))
            return (Workspace(name=DEFAULT_WORKSPACE, url=url),) if url else ()
        elif listed:
            entries = self._read("POLYSYNC_WORKSPACES", lambda: parse_workspaces(listed)) or {}
            read = [
                self._read(f"POLYSYNC_WORKSPACES['{name}']", partial(parse_workspace, name, entry))
                for name, entry in entries.items()
            ]
            return tuple(workspace for workspace in read if workspace is not None)
        else:
            self._wrong(
                "DATABRICKS_HOST",
                "is missing; set the workspace's address, like https://adb-1234567890123456.7.azuredatabricks.net "
                "(or POLYSYNC_WORKSPACES for several)",
            )
        return ()

    def _public_url(self) -> str | None:
        given, host = self._text("POLYSYNC_PUBLIC_URL"), self._text("WEBSITE_HOSTNAME")
        if given:
            return self._read("POLYSYNC_PUBLIC_URL", lambda: parse_address(given))
        return self._read("WEBSITE_HOSTNAME", lambda: parse_host_of_app(host)) if host else None

    def _tables(self) -> TablesAddress | None:
        """POLYSYNC_TABLES, else the host's own storage: a connection string, or identity-based by its address."""
        account = self._text("AzureWebJobsStorage__accountName")
        candidates = {
            "POLYSYNC_TABLES": self._text("POLYSYNC_TABLES"),
            "AzureWebJobsStorage": self._text("AzureWebJobsStorage"),
            "AzureWebJobsStorage__tableServiceUri": self._text("AzureWebJobsStorage__tableServiceUri"),
            "AzureWebJobsStorage__accountName": f"https://{account}.table.core.windows.net" if account else "",
        }
        name, given = next(((name, given) for name, given in candidates.items() if given), ("", ""))
        if not given:
            self._wrong(
                "POLYSYNC_TABLES",
                "is missing; set a connection string or a table endpoint (or the AzureWebJobsStorage settings)",
            )
            return None
        if "=" in given.split("?")[0]:
            connection = self._read(name, lambda: parse_connection_string(given))
            return TablesAddress(connection_string=connection) if connection else None
        endpoint = self._read(name, lambda: parse_address(given, with_path=True))
        is_hosts_own = name.startswith("AzureWebJobsStorage")
        client_id = self._text("AzureWebJobsStorage__clientId") if is_hosts_own else ""
        return TablesAddress(endpoint=endpoint, client_id=client_id or None) if endpoint else None
