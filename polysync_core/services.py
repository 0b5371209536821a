"""The only wiring: the environment -> Settings -> adapters, built on first use and kept for the process."""

from __future__ import annotations

import functools
import gc
import logging
import os
import secrets
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from polysync_core.adapters.callback_sender import CallbackSender
from polysync_core.adapters.clock import Clock
from polysync_core.adapters.databricks.client import Databricks
from polysync_core.adapters.databricks.entra import EntraTokens, build_credential
from polysync_core.adapters.databricks.http_pool import new_session
from polysync_core.adapters.memory import CachedValue, RefreshTurns
from polysync_core.adapters.storage.job_store import JobStore
from polysync_core.adapters.storage.run_cleaner import RunCleaner
from polysync_core.adapters.storage.run_store import AWAIT_SECRET_BYTES, RunStore
from polysync_core.adapters.storage.tables import Table, within
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions.hidden_values import hiding_key
from polysync_core.rules.decisions.parameters import ImportRules
from polysync_core.settings import Settings, ignored_names
from polysync_core.values.run import Check

RUNS_TABLE, JOBS_TABLE = "PolysyncRuns", "PolysyncJobs"
_SECRET_SECONDS = 10.0
_log = logging.getLogger("polysync.services")
_HEALTH_SECONDS = 30.0
_QUIET = {
    "azure.core": logging.WARNING,
    "azure.data": logging.WARNING,
    "azure.identity": logging.WARNING,
    "msal": logging.WARNING,
    "urllib3": logging.ERROR,
}
"""Below these the libraries write down the addresses of their calls, with the signature of a connection string by SAS.

Set here, since the host's log level is the root logger's. azure.functions, the host's own, keeps its level.
"""
for _library, _level in _QUIET.items():
    logging.getLogger(_library).setLevel(_level)


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """What the triggers work with: the settings, and one access for each workspace, the default first."""

    settings: Settings
    clock: Clock
    tokens: EntraTokens
    store: RunStore
    workspaces: Mapping[str, WorkspaceServices]
    sender: CallbackSender
    health: CachedValue[tuple[Check, ...]]
    _await_secret: CachedValue[bytes]

    @property
    def workspace_names(self) -> tuple[str, ...]:
        return tuple(self.workspaces)

    def at(self, workspace: str | None) -> WorkspaceServices:
        """The named workspace, or the default one. The name has been checked."""
        return self.workspaces[workspace or self.workspace_names[0]]

    def among(self, workspace: str | None) -> Sequence[WorkspaceServices]:
        """The named workspace, or all."""
        return [*self.workspaces.values()] if workspace is None else [self.workspaces[workspace]]

    def await_secret(self) -> bytes:
        """The key of the await tokens; read (or made) once a process, within 10 s. Raises StorageUnavailable."""
        return self._await_secret.get(self._find_await_secret)

    def import_rules(self) -> ImportRules:
        """What a discovery keeps of a configuration. Raises StorageUnavailable."""
        return ImportRules(patterns=self.settings.parameters, key=hiding_key(self.await_secret()))

    def _find_await_secret(self) -> bytes:
        with within(_SECRET_SECONDS):
            return self.store.await_secret(lambda: secrets.token_bytes(AWAIT_SECRET_BYTES))


def build(settings: Settings, environ: Mapping[str, str], clock: Clock) -> Services:
    """Wire the adapters to `settings`. Connects to nothing yet."""
    tokens = EntraTokens(lambda: build_credential(environ), clock)
    storage = tokens
    if settings.tables.client_id is not None:
        storage = EntraTokens(lambda: build_credential(environ, settings.tables.client_id), clock)
    table = Table(settings.tables, RUNS_TABLE, lambda: storage.credential)
    store, cleaner = RunStore(table, new_id), RunCleaner(table)
    jobs = JobStore(Table(settings.tables, JOBS_TABLE, lambda: storage.credential), new_id)
    session, refresh_turns = new_session(), RefreshTurns(clock)
    workspaces = {
        workspace.name: WorkspaceServices(
            databricks=Databricks(workspace, session, tokens, clock),
            store=store,
            jobs=jobs,
            cleaner=cleaner,
            clock=clock,
            refresh_turns=refresh_turns,
            new_id=new_id,
        )
        for workspace in settings.workspaces
    }
    return Services(
        settings=settings,
        clock=clock,
        tokens=tokens,
        store=store,
        workspaces=workspaces,
        sender=CallbackSender(settings.callback_hosts, settings.callback_secret),
        health=CachedValue(clock, _HEALTH_SECONDS),
        _await_secret=CachedValue(clock, inf),
    )


def new_id() -> str:
    """A random id, 32 hexadecimal digits."""
    return uuid.uuid4().hex


_building = threading.Lock()


def current() -> Services:
    """This process's services. Raises SettingsError, naming every bad setting, until the settings are right."""
    with _building:
        return _build_once()


@functools.cache
def _build_once() -> Services:
    built = build(Settings.from_environ(os.environ), os.environ, Clock())
    for name in ignored_names(os.environ):
        _log.warning("%s is no setting of Polysync and is ignored", name, extra={"action": "settings"})
    gc.collect()
    gc.freeze()  # what stands by now stays; `clear_cycles` need not look at it
    return built


def clear_cycles() -> None:
    """Free what is only held by reference cycles: azure-data-tables leaves the rows of every listing in one.

    Left to Python's own collector, whose full passes are rare, they pile up and scatter over the process's memory.
    """
    gc.collect()


def forget() -> None:
    """Read the settings anew on the next use: for a host that serves the app again with another environment."""
    _build_once.cache_clear()
