"""The app's settings: read once, validated together, every bad one named in one error.

Names and meanings: README, "Settings". A blank value counts as not set.
"""

from __future__ import annotations

import base64
import difflib
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

from croniter import croniter

from polysync_core.errors import SettingsError
from polysync_core.model import Workspace
from polysync_core.rules import callback_addresses
from polysync_core.rules.callback_addresses import HostRule
from polysync_core.rules.parameters import DEFAULT_PATTERNS, parse_patterns

DEFAULT_WORKSPACE = "default"
EVERY_15_SECONDS = "*/15 * * * * *"
SWEEP_SCHEDULE = "POLYSYNC_SWEEP_SCHEDULE"
CALLBACK_SCHEDULE = "POLYSYNC_CALLBACK_SCHEDULE"
HOURLY = "0 0 * * * *"
DISCOVERY_SCHEDULE = "POLYSYNC_DISCOVERY_SCHEDULE"
SIGNING_SETTING = "POLYSYNC_CALLBACK_SECRET"
SETTING_NAMES = frozenset(
    {
        "DATABRICKS_HOST",
        "POLYSYNC_WORKSPACES",
        "POLYSYNC_TABLES",
        SWEEP_SCHEDULE,
        CALLBACK_SCHEDULE,
        DISCOVERY_SCHEDULE,
        "POLYSYNC_PARAMETERS",
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
_WORKSPACE_NAME = re.compile(r"[a-z0-9-]{1,40}")
_RESOURCE_ID = re.compile(
    r"/subscriptions/[^/\s]+/resourceGroups/[^/\s]+/providers/Microsoft\.Databricks/workspaces/[^/\s]+", re.IGNORECASE
)
_MONTH = r"(JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|[0-9*/,-])+"
_WEEKDAY = r"(SUN|MON|TUE|WED|THU|FRI|SAT|[0-6*/,-])+"
_SCHEDULE = re.compile(rf"([0-9*/,-]+ ){{4}}{_MONTH} {_WEEKDAY}", re.IGNORECASE)
"""What both NCRONTAB and croniter understand alike: six fields, names of three letters, Sunday is 0."""
_HOST = re.compile(
    r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\.?|[0-9a-f:]*:[0-9a-f:.]*", re.IGNORECASE
)
_SECRET_PREFIX, _SECRET_BYTES = "whsec_", range(24, 65)


@dataclass(frozen=True, kw_only=True, slots=True)
class TablesAddress:
    """Where Table Storage is: a connection string, or an endpoint that the app's identity opens."""

    connection_string: str | None = field(default=None, repr=False)
    endpoint: str | None = None
    client_id: str | None = None


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

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read every setting; SettingsError names all that are missing, malformed, misspelt or contradictory."""
        return _Reader(environ).settings()


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
    """The schedule to use for a timer, and a note when the setting's own is invalid and the default stands in.

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
    return default, f"{name} is no NCRONTAB schedule of six fields (like '{default}'); '{default}' is used instead."


class _Reader:
    """Collects the problems of one environment while its settings are read."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._problems: list[str] = []

    def settings(self) -> Settings:
        self._check_names()
        workspaces = self._workspaces()
        tables = self._tables()
        public_url = self._public_url()
        max_age = self._whole_number("POLYSYNC_STATUS_MAX_AGE_SECONDS", default=30, least=1, most=3600)
        lost_after = self._whole_number("POLYSYNC_LOST_AFTER_MINUTES", default=60, least=1, most=43200)
        settle = self._whole_number("POLYSYNC_START_SETTLE_SECONDS", default=120, least=0, most=3600)
        grace = self._whole_number("POLYSYNC_RETRY_GRACE_SECONDS", default=60, least=0, most=3600)
        timeout = self._whole_number("POLYSYNC_RUN_TIMEOUT_MINUTES", default=0, least=1, most=43200)
        retention = self._whole_number("POLYSYNC_RETENTION_DAYS", default=90, least=1, most=3650)
        callback_hosts, callback_secret = self._callback_hosts(), self._callback_secret()
        parameters = self._patterns()
        schedules = [
            _schedule(self._environ, SWEEP_SCHEDULE, EVERY_15_SECONDS),
            _schedule(self._environ, CALLBACK_SCHEDULE, EVERY_15_SECONDS),
            _schedule(self._environ, DISCOVERY_SCHEDULE, HOURLY),
        ]
        if self._problems or tables is None:
            raise SettingsError(self._problems)
        return Settings(
            workspaces=workspaces,
            tables=tables,
            public_url=public_url,
            status_max_age_seconds=max_age,
            lost_after_minutes=lost_after,
            start_settle_seconds=settle,
            retry_grace_seconds=grace,
            run_timeout_minutes=timeout or None,
            retention_days=retention,
            callback_hosts=callback_hosts,
            callback_secret=callback_secret,
            parameters=parameters,
            notes=tuple(note for _, note in schedules if note),
        )

    def _text(self, name: str) -> str:
        return self._environ.get(name, "").strip()

    def _wrong(self, name: str, remedy: str) -> None:
        self._problems.append(f"{name}: {remedy}.")

    def _check_names(self) -> None:
        for name in sorted(self._environ):
            if name.startswith("POLYSYNC_") and not name.startswith("POLYSYNC_LOCAL_") and name not in SETTING_NAMES:
                near = difflib.get_close_matches(name, SETTING_NAMES, n=1)
                self._wrong(name, "is no setting of Polysync" + (f"; did you mean {near[0]}" if near else ""))

    def _whole_number(self, name: str, *, default: int, least: int, most: int) -> int:
        given = self._text(name)
        if not given:
            return default
        if given.isascii() and given.isdecimal() and len(given) < 10 and least <= int(given) <= most:
            return int(given)
        self._wrong(name, f"must be a whole number from {least} to {most}")
        return default

    def _patterns(self) -> tuple[str, ...]:
        try:
            return parse_patterns(self._text("POLYSYNC_PARAMETERS") or DEFAULT_PATTERNS)
        except ValueError as wrong:
            self._wrong("POLYSYNC_PARAMETERS", f"{wrong}; give names and patterns like '{DEFAULT_PATTERNS}'")
            return ()

    def _workspaces(self) -> tuple[Workspace, ...]:
        host, listed = self._text("DATABRICKS_HOST"), self._text("POLYSYNC_WORKSPACES")
        if host and listed:
            self._wrong("DATABRICKS_HOST and POLYSYNC_WORKSPACES", "set only one of them")
        elif host:
            url = self._url("DATABRICKS_HOST", host)
            return (Workspace(name=DEFAULT_WORKSPACE, url=url),) if url else ()
        elif listed:
            return self._listed_workspaces(listed)
        else:
            self._wrong(
                "DATABRICKS_HOST",
                "is missing; set the workspace's address, like https://adb-1234567890123456.7.azuredatabricks.net "
                "(or POLYSYNC_WORKSPACES for several)",
            )
        return ()

    def _listed_workspaces(self, listed: str) -> tuple[Workspace, ...]:
        name = "POLYSYNC_WORKSPACES"
        try:
            entries = json.loads(listed, object_pairs_hook=_without_repeats)
        except (ValueError, RecursionError) as error:
            self._wrong(name, f"must be JSON, name to {{url, resourceId?}} ({error})")
            return ()
        if not isinstance(entries, dict) or not entries:
            self._wrong(name, 'must be a JSON object like {"sales": {"url": "https://adb-….azuredatabricks.net"}}')
            return ()
        return tuple(found for key, entry in entries.items() if (found := self._workspace(key, entry)) is not None)

    def _workspace(self, key: str, entry: object) -> Workspace | None:
        where = f"POLYSYNC_WORKSPACES['{key}']"
        if not _WORKSPACE_NAME.fullmatch(key):
            self._wrong(where, "a workspace's name is 1 to 40 of a-z, 0-9 and '-'")
            return None
        if not isinstance(entry, dict) or not isinstance(entry.get("url"), str) or set(entry) - {"url", "resourceId"}:
            self._wrong(where, "must be an object with url and, if needed, resourceId")
            return None
        resource_id = entry.get("resourceId")
        if resource_id is not None and not (isinstance(resource_id, str) and _RESOURCE_ID.fullmatch(resource_id)):
            self._wrong(
                f"{where}.resourceId",
                "must be like /subscriptions/…/resourceGroups/…/providers/Microsoft.Databricks/workspaces/…",
            )
            return None
        url = self._url(f"{where}.url", entry["url"])
        return Workspace(name=key, url=url, resource_id=resource_id) if url else None

    def _public_url(self) -> str | None:
        """Where callers find the app; WEBSITE_HOSTNAME, which the platform sets, is "localhost:7071" on a laptop."""
        given = self._text("POLYSYNC_PUBLIC_URL")
        if given:
            return self._url("POLYSYNC_PUBLIC_URL", given) or None
        host = self._text("WEBSITE_HOSTNAME")
        if not host:
            return None
        scheme = "http" if is_loopback(host.rsplit(":", 1)[0].strip("[]")) else "https"
        return self._url("WEBSITE_HOSTNAME", f"{scheme}://{host}") or None

    def _callback_hosts(self) -> tuple[HostRule, ...]:
        given = self._text(callback_addresses.SETTING) or callback_addresses.DEFAULT_HOSTS
        try:
            return callback_addresses.parse_hosts(given)
        except ValueError as wrong:
            self._wrong(callback_addresses.SETTING, str(wrong))
            return ()

    def _callback_secret(self) -> str | None:
        """The secret that signs callbacks, as Standard Webhooks writes it. Never shown, not even a wrong one."""
        given = self._text(SIGNING_SETTING)
        if not given:
            return None
        encoded = given.removeprefix(_SECRET_PREFIX).rstrip("=")
        try:
            secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except ValueError:
            secret = b""
        if not given.startswith(_SECRET_PREFIX) or len(secret) not in _SECRET_BYTES:
            self._wrong(SIGNING_SETTING, f"must be '{_SECRET_PREFIX}' and then the base64 of 24 to 64 random bytes")
            return None
        return given

    def _tables(self) -> TablesAddress | None:
        name = "POLYSYNC_TABLES"
        given = self._text(name)
        if not given:
            name = "AzureWebJobsStorage"
            given = self._text(name)
        client_id = self._text("AzureWebJobsStorage__clientId") or None
        if not given:
            account = self._text("AzureWebJobsStorage__accountName")
            given = self._text("AzureWebJobsStorage__tableServiceUri")
            name = "AzureWebJobsStorage__tableServiceUri"
            if not given and account:
                given = f"https://{account}.table.core.windows.net"
                name = "AzureWebJobsStorage__accountName"
        if not given:
            self._wrong(
                "POLYSYNC_TABLES",
                "is missing; set a connection string or a table endpoint (or the AzureWebJobsStorage settings)",
            )
            return None
        if "=" not in given.split("?")[0]:
            endpoint = self._url(name, given, with_path=True)
            return TablesAddress(endpoint=endpoint, client_id=client_id) if endpoint else None
        wrong = _connection_problem(given)
        if wrong:
            self._wrong(name, wrong)
            return None
        return TablesAddress(connection_string=given)

    def _url(self, name: str, given: str, *, with_path: bool = False) -> str:
        """Scheme, host and port; '' and a problem when `given` is anything more, or plain http to a real host.

        `with_path` lets a path stand: the storage emulator's endpoint ends in its account's name.
        """
        if "://" not in given:
            given = f"https://{given}"
        try:
            parts = urlsplit(given)
            host, port = parts.hostname, parts.port
        except ValueError:
            self._wrong(name, "must be an address like https://host, without path or query")
            return ""
        path = parts.path.rstrip("/")
        if (
            not host
            or not _HOST.fullmatch(host)
            or port == 0
            or parts.scheme not in {"http", "https"}
            or parts.query
            or parts.fragment
            or (path and not with_path)
        ):
            self._wrong(name, "must be an address like https://host, without path or query")
        elif parts.username is not None or parts.password is not None:
            self._wrong(name, "must not hold a user name or password")
        elif parts.scheme == "http" and not is_loopback(host):
            self._wrong(name, "must use https, unless its host is loopback")
        else:
            shown = f"[{host}]" if ":" in host else host
            return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{path}"
        return ""


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine: 'localhost' or a literal loopback address. Names are not resolved."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _connection_problem(connection_string: str) -> str | None:
    """What is wrong with a connection string of Table Storage: plain http to a real host, or no account in it."""
    if connection_string.strip("; ").lower() == "usedevelopmentstorage=true":
        return None
    parts = dict(part.split("=", 1) for part in connection_string.split(";") if "=" in part)
    folded = {key.strip().lower(): value.strip() for key, value in parts.items()}
    try:
        endpoint = urlsplit(folded.get("tableendpoint", ""))
        host = endpoint.hostname or ""
    except ValueError:
        return "must hold a TableEndpoint that is an address"
    scheme = endpoint.scheme or folded.get("defaultendpointsprotocol", "https")
    if scheme.lower() != "https" and not is_loopback(host):
        return "must use https, unless its host is loopback"
    has_key = {"accountname", "accountkey"} <= folded.keys()
    if not (has_key or {"tableendpoint", "sharedaccesssignature"} <= folded.keys()):
        return "must hold AccountName and AccountKey, or TableEndpoint and SharedAccessSignature"
    return None


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """A JSON object whose names are all different; ValueError names a repeated one."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands in it twice")
    return found
