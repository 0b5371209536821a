"""Builds the adapters from the settings. No other module of the app does that.

The settings are read from the environment on first use. The result is kept for the process.
"""

from __future__ import annotations

import functools
import logging
import os
import secrets
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from polysync_core.adapters import metrics
from polysync_core.adapters.await_keyring import AwaitKeyring
from polysync_core.adapters.callback_sender import CallbackSender
from polysync_core.adapters.clock import Clock
from polysync_core.adapters.databricks.client import Databricks
from polysync_core.adapters.databricks.entra import EntraTokens, build_credential
from polysync_core.adapters.databricks.http_pool import new_session
from polysync_core.adapters.entra_callers import EntraCallers
from polysync_core.adapters.kept_outcomes import KeptOutcomes
from polysync_core.adapters.library_logs import quiet_libraries
from polysync_core.adapters.memory import CachedValue, FreshCalls, LookGate, RefreshTurns, keep_what_is_built
from polysync_core.adapters.storage.await_key_store import AwaitKeyStore
from polysync_core.adapters.storage.callback_store import CallbackStore
from polysync_core.adapters.storage.job_store import JobStore
from polysync_core.adapters.storage.run_cleaner import RunCleaner
from polysync_core.adapters.storage.run_rows import RunRows
from polysync_core.adapters.storage.run_store import RunStore
from polysync_core.adapters.storage.tables import Table
from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets, roles
from polysync_core.rules.decisions.hidden_values import hiding_key
from polysync_core.rules.decisions.parameters import ImportRules
from polysync_core.rules.decisions.roles import Role
from polysync_core.rules.rows.await_keys_entity import AWAIT_KEY_BYTES
from polysync_core.rules.wire.event_document import continuation_key
from polysync_core.settings import Settings, ignored_names
from polysync_core.values.caller import KEY_CALLER, Caller
from polysync_core.values.databricks import EventsPage
from polysync_core.values.errors import RoleMissing
from polysync_core.values.run import Health
from polysync_core.values.workspace import Workspace

MOST_EVENT_PAGES = 64
"""So many pages of events are kept in memory at once. A page is mostly under 100 KB, and always under 5 MB."""
RUNS_TABLE, JOBS_TABLE = "PolysyncRuns", "PolysyncJobs"
_log = logging.getLogger("polysync.services")
quiet_libraries()  # before any call, and also while the settings are invalid


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """What the endpoints use: the settings, and the services of each workspace by name. The default one is first.

    `callers` checks access tokens (None: the host checks keys). `for_caller` returns the services of one request: only
    the workspaces that its `caller` may see, and the role that the route `needs`.
    """

    settings: Settings
    clock: Clock
    tokens: EntraTokens
    workspaces: Mapping[str, WorkspaceServices]
    sender: CallbackSender
    health: CachedValue[Health]
    await_keys: AwaitKeyring
    callers: EntraCallers | None = None
    caller: Caller = KEY_CALLER
    needs: Role | None = None

    @property
    def workspace_names(self) -> tuple[str, ...]:
        return tuple(self.workspaces)

    def name_in_addresses(self, workspace: Workspace) -> str | None:
        """The workspace's name for the addresses of its runs. None when the app has only one workspace."""
        return workspace.name if len(self.settings.workspaces) > 1 else None

    def for_caller(self, caller: Caller, needs: Role) -> Services:
        """The services of one request. `caller` has signed in, and the route needs this role.

        The workspaces where the caller has the role come first, so the default one is the first of them, if any.
        """
        visible = roles.visible_workspaces(caller, self.workspaces)
        ordered = sorted(visible, key=lambda name: not roles.has_role(caller, needs, name))
        return replace(self, workspaces={name: self.workspaces[name] for name in ordered}, caller=caller, needs=needs)

    def check_role(self, workspace: str | None) -> None:
        """Raise RoleMissing if the caller lacks the route's role in the workspace. None stands for the whole app."""
        if self.needs is not None and not roles.has_role(self.caller, self.needs, workspace):
            suffix = workspace if len(self.settings.workspaces) > 1 else None
            raise RoleMissing(f"This needs the role {roles.role_name(self.needs, suffix)}.")

    def at(self, workspace: str | None) -> WorkspaceServices:
        """The named workspace, or the default one of this request. The name has been checked before.

        Raises RoleMissing.
        """
        found = self.workspaces[workspace or self.workspace_names[0]]
        self.check_role(found.workspace.name)
        return found

    def among(self, workspace: str | None) -> Sequence[WorkspaceServices]:
        """The named workspace, or all workspaces for None."""
        return [*self.workspaces.values()] if workspace is None else [self.workspaces[workspace]]

    def import_rules(self) -> ImportRules:
        """The rules that say what a discovery keeps of a configuration. Raises StorageUnavailable."""
        return ImportRules(patterns=self.settings.parameters, key=hiding_key(self.await_keys.current().first))

    def continuation_key(self) -> bytes:
        """The key that signs the continuations of events. Raises StorageUnavailable."""
        return continuation_key(self.await_keys.current().first)


def build(settings: Settings, environ: Mapping[str, str], clock: Clock) -> Services:
    """Build the adapters for `settings`. No connection is opened yet."""
    tokens = EntraTokens(lambda: build_credential(environ), clock)
    storage = tokens
    if settings.tables.client_id is not None:
        storage = EntraTokens(lambda: build_credential(environ, settings.tables.client_id), clock)
    runs_table = Table(settings.tables, RUNS_TABLE, lambda: storage.credential)
    jobs_table = Table(settings.tables, JOBS_TABLE, lambda: storage.credential)
    session, refresh_turns = new_session(clock, len(settings.workspaces)), RefreshTurns(clock)
    kept_events = KeptOutcomes[EventsPage](clock, budgets.EVENTS_KEPT, MOST_EVENT_PAGES)

    def serve(workspace: Workspace) -> WorkspaceServices:
        rows = runs_table.partition(workspace.partition)
        callbacks = CallbackStore(rows, RunRows(rows, new_id), new_id)
        return WorkspaceServices(
            databricks=Databricks(workspace, session, tokens, clock),
            runs=RunStore(rows, callbacks, new_id, functools.partial(metrics.note_end, workspace.name)),
            callbacks=callbacks,
            jobs=JobStore(jobs_table.partition(workspace.partition), new_id),
            cleaner=RunCleaner(rows),
            clock=clock,
            refresh_turns=refresh_turns,
            gate=LookGate(clock),
            fresh_looks=FreshCalls(),
            kept_events=kept_events,
            new_id=new_id,
        )

    return Services(
        settings=settings,
        clock=clock,
        tokens=tokens,
        workspaces={workspace.name: serve(workspace) for workspace in settings.workspaces},
        sender=CallbackSender(settings.callback_hosts, settings.callback_secret),
        health=CachedValue(clock, budgets.HEALTH_KEPT),
        callers=None if settings.door is None else EntraCallers(settings.door, clock),
        await_keys=AwaitKeyring(AwaitKeyStore(runs_table), clock, lambda: secrets.token_bytes(AWAIT_KEY_BYTES)),
    )


def new_id() -> str:
    """A random id, 32 hexadecimal digits."""
    return uuid.uuid4().hex


_building = threading.Lock()


def current() -> Services:
    """This process's services. While settings are invalid, raises SettingsError, which names all of them."""
    with _building:
        return _build_once()


@functools.cache
def _build_once() -> Services:
    built = build(Settings.from_environ(os.environ), os.environ, Clock())
    for name in ignored_names(os.environ):
        _log.warning("%s is not a setting of Polysync and is ignored", name, extra={"action": "settings"})
    keep_what_is_built()
    return built


def forget() -> None:
    """Read the settings again on the next use. A host calls this before it serves the app with another environment."""
    _build_once.cache_clear()
