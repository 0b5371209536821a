"""The app's settings. They are read once and validated together, and one error names all invalid ones.

The README lists names and meanings under "Settings". A blank value counts as not set.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from polysync_core.rules.decisions import callback_addresses
from polysync_core.rules.decisions.callback_addresses import HostRule
from polysync_core.rules.decisions.parameters import DEFAULT_PATTERNS, parse_patterns
from polysync_core.rules.decisions.run_transitions import TransitionLimits
from polysync_core.rules.decisions.sweep_rules import SweepLimits
from polysync_core.rules.wire.entra_settings import ENTRA_NAMES, read_door
from polysync_core.rules.wire.setting_values import (
    parse_address,
    parse_host_of_app,
    parse_signing_secret,
    parse_start_options,
    parse_whole_number,
    unresolved_reference,
)
from polysync_core.rules.wire.storage_settings import STORAGE, TABLES, is_storage_name, read_tables
from polysync_core.rules.wire.workspace_settings import HOST, SEVERAL, read_workspaces
from polysync_core.values.caller import EntraDoor
from polysync_core.values.errors import SettingsError
from polysync_core.values.start_options import SETTING as START_OPTIONS
from polysync_core.values.workspace import TablesAddress, Workspace

EVERY_15_SECONDS = "*/15 * * * * *"
BETWEEN_SWEEPS = "5,20,35,50 * * * * *"
"""Every 15 s too, but 5 s later. So the callbacks that a sweep makes due need not wait for the tick after it."""
SWEEP_SCHEDULE = "POLYSYNC_SWEEP_SCHEDULE"
CALLBACK_SCHEDULE = "POLYSYNC_CALLBACK_SCHEDULE"
HOURLY = "0 0 * * * *"
DISCOVERY_SCHEDULE = "POLYSYNC_DISCOVERY_SCHEDULE"
SWEEP_GROUP_WORKSPACES = "POLYSYNC_SWEEP_GROUP_WORKSPACES"
PARAMETERS = "POLYSYNC_PARAMETERS"
SIGNING_SETTING = "POLYSYNC_CALLBACK_SECRET"
SETTING_NAMES = frozenset(
    {
        HOST,
        SEVERAL,
        TABLES,
        SWEEP_SCHEDULE,
        CALLBACK_SCHEDULE,
        DISCOVERY_SCHEDULE,
        SWEEP_GROUP_WORKSPACES,
        PARAMETERS,
        "POLYSYNC_PUBLIC_URL",
        "POLYSYNC_STATUS_MAX_AGE_SECONDS",
        "POLYSYNC_LOST_AFTER_MINUTES",
        "POLYSYNC_START_SETTLE_SECONDS",
        START_OPTIONS,
        callback_addresses.SETTING,
        SIGNING_SETTING,
        "POLYSYNC_RETRY_GRACE_SECONDS",
        "POLYSYNC_RUN_TIMEOUT_MINUTES",
        "POLYSYNC_RETENTION_DAYS",
    }
    | ENTRA_NAMES
)
_PREFIX = "POLYSYNC_"
_BESIDE_OURS = frozenset({"AZURE_CLIENT_ID"})
"""Settings of other software that the app uses too."""
_MISSPELT = 0.86
"""A name this similar to a setting (difflib ratio) is a typo: POLYSYNC_TABEL is, POLYSYNC_CALLBACK_URL is not."""
_UNIT = re.compile(r"_(SECONDS|MINUTES|HOURS|DAYS)$")
_MONTH = r"(JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|[0-9*/,-])+"
_WEEKDAY = r"(SUN|MON|TUE|WED|THU|FRI|SAT|[0-6*/,-])+"
_SCHEDULE = re.compile(rf"([0-9*/,-]+ ){{4}}{_MONTH} {_WEEKDAY}", re.IGNORECASE)
"""What NCRONTAB and croniter read in the same way: six fields, names of three letters, Sunday is 0."""
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """All settings, validated. `parameters` are patterns of the names to import (see rules/decisions/parameters.py).

    `public_url` is the address at which callers reach the app. It has a path if another path replaces /api. `app_url`
    is the address that the platform gave the app. `door` says who is let in by a token of Entra ID (None: keys).
    `start_options` names the fields of START_OPTIONS that a start may have.

    The sweep timer ticks every `sweep_interval`. Beyond `sweep_group_workspaces` workspaces, it hands them out in
    groups of at most so many. `notes` are faults for which a safe default is used; health shows them.
    """

    workspaces: tuple[Workspace, ...]
    tables: TablesAddress
    public_url: str | None
    app_url: str | None
    status_max_age_seconds: int
    lost_after_minutes: int
    start_settle_seconds: int
    retry_grace_seconds: int
    run_timeout_minutes: int | None
    retention_days: int
    callback_hosts: tuple[HostRule, ...]
    callback_secret: str | None = field(repr=False)
    door: EntraDoor | None
    parameters: tuple[str, ...]
    start_options: tuple[str, ...]
    sweep_interval: timedelta
    sweep_group_workspaces: int
    notes: tuple[str, ...]

    @property
    def sweeps_in_groups(self) -> bool:
        """Whether the sweep timer hands groups of workspaces to the queue."""
        return len(self.workspaces) > self.sweep_group_workspaces

    @property
    def sweep_limits(self) -> SweepLimits:
        """The limits that these settings give a sweep and every transition of a run."""
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
        """Read every setting.

        Raises SettingsError, which names all settings that are missing, malformed, misspelt or contradictory.
        """
        return _Reader(environ).settings()


def ignored_names(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Names that begin with POLYSYNC_ but are no settings and resemble none. They may belong to other software."""
    return tuple(name for name in _unknown(environ) if _meant(name) is None)


def _unknown(environ: Mapping[str, str]) -> list[str]:
    ours = [name for name in environ if name.upper().startswith(_PREFIX)]
    return sorted(name for name in ours if name not in SETTING_NAMES and not name.startswith(f"{_PREFIX}LOCAL_"))


def _meant(name: str) -> str | None:
    """The setting that `name` misspells, or None.

    A setting with another unit at its end, or without one, counts as misspelt too.
    """
    known = {_UNIT.sub("", setting): setting for setting in SETTING_NAMES}
    near = difflib.get_close_matches(_UNIT.sub("", name.upper()), known, n=1, cutoff=_MISSPELT)
    return known[near[0]] if near else None


def sweep_schedule(environ: Mapping[str, str]) -> str:
    """The schedule of the sweep timer, read when the app is indexed. If it is unset or invalid: every 15 s."""
    return _schedule(environ, SWEEP_SCHEDULE, EVERY_15_SECONDS)[0]


def sweeps_in_groups(environ: Mapping[str, str]) -> bool:
    """Whether the app needs the queue of groups, read when the app is indexed. False while settings are invalid."""
    try:
        return Settings.from_environ(environ).sweeps_in_groups
    except SettingsError:
        return False


def callback_schedule(environ: Mapping[str, str]) -> str:
    """The schedule of the timer that delivers callbacks. If it is unset or invalid: every 15 s, between the sweeps."""
    return _schedule(environ, CALLBACK_SCHEDULE, BETWEEN_SWEEPS)[0]


def discovery_schedule(environ: Mapping[str, str]) -> str:
    """The schedule of the discovery timer, read when the app is indexed. If it is unset or invalid: every hour."""
    return _schedule(environ, DISCOVERY_SCHEDULE, HOURLY)[0]


def _schedule(environ: Mapping[str, str], name: str, default: str) -> tuple[str, str | None]:
    """The schedule of a timer, and a note when the setting is invalid and the default is used instead.

    Schedules are NCRONTAB with six fields, seconds first. They are read when the app is indexed, before it can answer
    any request.
    """
    given = environ.get(name, "").strip()
    if not given:
        return default, None
    if given == default or _is_schedule(given):
        return given, None
    return default, f"{name} is not an NCRONTAB schedule of six fields (like '{default}'); '{default}' is used instead."


def _is_schedule(given: str) -> bool:
    if not _SCHEDULE.fullmatch(" ".join(given.split())):
        return False
    try:
        _interval(given)
    except (ValueError, KeyError):
        return False
    return True


def _interval(schedule: str) -> timedelta:
    """The time between two ticks of a schedule. Raises ValueError and KeyError for an invalid one."""
    if schedule == EVERY_15_SECONDS:
        return timedelta(seconds=15)
    # Imported here, because no cold start with the default schedules needs it.
    from croniter import croniter

    ticks = croniter(schedule, datetime(2000, 1, 1, tzinfo=UTC), second_at_beginning=True, day_or=False)
    first, second = ticks.get_next(datetime), ticks.get_next(datetime)
    interval: timedelta = second - first
    return interval


def _patterns(given: str) -> tuple[str, ...]:
    try:
        return parse_patterns(given)
    except ValueError as wrong:
        raise ValueError(f"{wrong}; give names and patterns like '{DEFAULT_PATTERNS}'") from None


class _Reader:
    """Collects the problems of one environment while its settings are read."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._problems: list[str] = []
        self._unresolved: set[str] = set()
        self._environ = {name: value for name, value in environ.items() if not self._is_unresolved(name, value)}

    def settings(self) -> Settings:
        self._check_names()
        needs_workspace = not self._unresolved & {HOST, SEVERAL}
        workspaces = read_workspaces(self._environ, self._wrong, needs_one=needs_workspace)
        tables = read_tables(self._environ, self._wrong, needs_one=not self._unresolved & {TABLES, STORAGE})
        hosts = self._text(callback_addresses.SETTING) or callback_addresses.DEFAULT_HOSTS
        patterns = self._text(PARAMETERS) or DEFAULT_PATTERNS
        secret = self._text(SIGNING_SETTING)
        options = self._text(START_OPTIONS)
        settings = Settings(
            workspaces=workspaces,
            tables=tables or TablesAddress(),
            public_url=self._public_url(),
            app_url=self._app_url(),
            status_max_age_seconds=self._number("POLYSYNC_STATUS_MAX_AGE_SECONDS", 30, least=1, most=3600),
            lost_after_minutes=self._number("POLYSYNC_LOST_AFTER_MINUTES", 60, least=1, most=43200),
            start_settle_seconds=self._number("POLYSYNC_START_SETTLE_SECONDS", 120, least=0, most=3600),
            retry_grace_seconds=self._number("POLYSYNC_RETRY_GRACE_SECONDS", 60, least=0, most=3600),
            run_timeout_minutes=self._number("POLYSYNC_RUN_TIMEOUT_MINUTES", 0, least=1, most=43200) or None,
            retention_days=self._number("POLYSYNC_RETENTION_DAYS", 90, least=1, most=3650),
            callback_hosts=self._read(callback_addresses.SETTING, lambda: callback_addresses.parse_hosts(hosts)) or (),
            callback_secret=self._read(SIGNING_SETTING, lambda: parse_signing_secret(secret)) if secret else None,
            parameters=self._read(PARAMETERS, lambda: _patterns(patterns)) or (),
            start_options=self._read(START_OPTIONS, lambda: parse_start_options(options)) or () if options else (),
            door=read_door(self._environ, self._wrong),
            sweep_interval=_interval(sweep_schedule(self._environ)),
            sweep_group_workspaces=self._number(SWEEP_GROUP_WORKSPACES, 200, least=1, most=1000),
            notes=self._notes(),
        )
        if self._problems:
            raise SettingsError(self._problems)
        return settings

    def _is_unresolved(self, name: str, value: str) -> bool:
        """Whether the value is a reference that the platform did not resolve. The setting then counts as not set."""
        is_read = name in SETTING_NAMES or name in _BESIDE_OURS or is_storage_name(name)
        remedy = unresolved_reference(value.strip()) if is_read else None
        if remedy is None:
            return False
        self._wrong(name, remedy)
        self._unresolved.add(STORAGE if is_storage_name(name) else name)
        return True

    def _text(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def _wrong(self, name: str, remedy: str) -> None:
        self._problems.append(f"{name}: {remedy}.")

    def _read(self, name: str, parse: Callable[[], _T]) -> _T | None:
        """What `parse` returns. When it raises ValueError, the problem is noted and None is returned."""
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
        schedules = ((SWEEP_SCHEDULE, EVERY_15_SECONDS), (CALLBACK_SCHEDULE, BETWEEN_SWEEPS))
        read = [_schedule(self._environ, name, default) for name, default in (*schedules, (DISCOVERY_SCHEDULE, HOURLY))]
        return tuple(note for _, note in read if note)

    def _public_url(self) -> str | None:
        given = self._text("POLYSYNC_PUBLIC_URL")
        return self._read("POLYSYNC_PUBLIC_URL", lambda: parse_address(given, with_path=True)) if given else None

    def _app_url(self) -> str | None:
        host = self._text("WEBSITE_HOSTNAME")
        return self._read("WEBSITE_HOSTNAME", lambda: parse_host_of_app(host)) if host else None
