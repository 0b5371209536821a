"""The Databricks client, built on requests. A process has one connection pool, and every call has a time-out.

A `BoundedClient` makes the calls of one use case to one workspace. It ends them by a deadline and counts them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

import requests

from polysync_core.adapters.clock import Clock
from polysync_core.adapters.databricks.entra import EntraTokens, management_scope
from polysync_core.adapters.databricks.exchange import Answer, Identity, exchange
from polysync_core.rules.decisions import budgets
from polysync_core.rules.decisions.run_states import is_final, is_known
from polysync_core.rules.wire import event_log_api, pipelines_api
from polysync_core.rules.wire.databricks_errors import NO_SUCH_ROUTE, Refusal, refusal_of
from polysync_core.rules.wire.pipelines_api import ApiRequest
from polysync_core.values.databricks import ErrorEvent, EventsPage, PipelinesPage, PipelineSpec, SeenUpdate, UpdatesPage
from polysync_core.values.databricks_errors import DatabricksError, DatabricksUnreachable
from polysync_core.values.deadline import Deadline
from polysync_core.values.ids import RunId
from polysync_core.values.run import JsonObject
from polysync_core.values.start_options import NO_OPTIONS, StartOptions
from polysync_core.values.workspace import Workspace


class Databricks:
    """One workspace. Safe to use from all threads.

    `knows_update_stop` says whether the workspace has the mission's stop route. It becomes False for this process when
    the workspace itself answers that the route does not exist. `accepted_token` is the last token that the workspace
    accepted.
    """

    def __init__(self, workspace: Workspace, session: requests.Session, tokens: EntraTokens, clock: Clock) -> None:
        self.workspace = workspace
        self.session = session
        self.tokens = tokens
        self.clock = clock
        self.knows_update_stop = True
        self.accepted_token: str | None = None

    def client(self, deadline: Deadline) -> BoundedClient:
        """A client whose requests to the workspace all end by `deadline`."""
        return BoundedClient(self, deadline)


class BoundedClient:
    """Calls to one workspace until a deadline. A call is repeated only once, with a new token.

    `calls` counts what was sent. `asked` counts what was to be asked, also where no token came. `answered` counts the
    answers to it. An answer that refuses the app itself is none, because every other call gets the same.

    Every call may raise DatabricksError (an answer other than expected), DatabricksUnreachable (no answer) or
    TokenUnavailable.
    """

    def __init__(self, databricks: Databricks, deadline: Deadline) -> None:
        self._databricks = databricks
        self.deadline = deadline
        self._lock = threading.Lock()
        self.calls = self.asked = self.answered = 0

    @property
    def workspace_name(self) -> str:
        return self._databricks.workspace.name

    def start_update(
        self, pipeline_id: str, full_refresh: bool, options: StartOptions = NO_OPTIONS, *, begins_by: Deadline
    ) -> str:
        """POST the update and return its id. The POST is repeated only with a new token, after a refusal.

        No POST begins after `begins_by`. If getting a token takes longer, DatabricksUnreachable is raised and nothing
        is sent.
        """
        request = pipelines_api.start_update(pipeline_id, full_refresh, options)
        return pipelines_api.decode_update_id(self._send(request, budgets.START_POST, begins_by))

    def fetch_update(self, run_id: RunId) -> SeenUpdate:
        return pipelines_api.decode_update(self._send(pipelines_api.get_update(run_id)), run_id)

    def fetch_updates_page(self, pipeline_id: str, page_token: str | None = None) -> UpdatesPage:
        return pipelines_api.decode_updates_page(self._send(pipelines_api.list_updates(pipeline_id, page_token)))

    def fetch_pipelines_page(self, page_token: str | None = None, page_size: int = 100) -> PipelinesPage:
        return pipelines_api.decode_pipelines_page(self._send(pipelines_api.list_pipelines(page_token, page_size)))

    def iter_updates_pages(self, pipeline_id: str) -> Iterator[UpdatesPage]:
        """All pages of updates, including empty ones. They end at a missing or a repeated page token."""
        page_token: str | None = None
        used: set[str] = set()
        while True:
            page = self.fetch_updates_page(pipeline_id, page_token)
            yield page
            page_token = page.next_page_token
            if page_token is None or page_token in used:
                return
            used.add(page_token)

    def fetch_newest_updates(self, pipeline_id: str) -> tuple[SeenUpdate, ...]:
        """The first page of updates that is not empty. Databricks may return empty pages before it."""
        pages = islice(self.iter_updates_pages(pipeline_id), budgets.MOST_UPDATES_PAGES)
        return next((page.updates for page in pages if page.updates), ())

    def fetch_pipeline(self, pipeline_id: str) -> PipelineSpec:
        return pipelines_api.decode_pipeline(self._send(pipelines_api.get_pipeline(pipeline_id)))

    def fetch_error_events(self, pipeline_id: str, *, timeout_seconds: float) -> tuple[ErrorEvent, ...]:
        """The newest error events of a pipeline, from any of its updates."""
        return event_log_api.decode_error_events(
            self._send(event_log_api.list_error_events(pipeline_id), timeout_seconds)
        )

    def fetch_events_page(
        self, pipeline_id: str, *, since: datetime | None, until: datetime | None, page_token: str | None = None
    ) -> EventsPage:
        """A page of a pipeline's events between two times, newest first. A `page_token` holds the times of its page."""
        request = event_log_api.list_events(pipeline_id, since=since, until=until, page_token=page_token)
        return event_log_api.decode_events_page(self._send(request))

    def stop(self, run_id: RunId) -> None:
        """Ask Databricks to stop this one update.

        The mission's stop route is tried first. If the workspace may lack it, the pipeline's stop is used. It is used
        only while our update is the active one (Databricks allows one). Another update could begin between that check
        and the stop.

        No official SDK has the mission's route, and workspaces and gateways refuse an unknown route in many forms. So
        an error is raised only if it concerns the caller or is temporary. Every other refusal leads to the pipeline's
        stop.
        """
        if self._databricks.knows_update_stop:
            try:
                self._send(pipelines_api.stop_update(run_id))
            except DatabricksError as error:
                if not pipelines_api.may_lack_update_stop(error):
                    raise
                self._databricks.knows_update_stop = error.error_code != NO_SUCH_ROUTE
            else:
                return
        if self._is_active(run_id):
            self._send(pipelines_api.stop_pipeline(run_id.pipeline_id))

    def _is_active(self, run_id: RunId) -> bool:
        """Whether the update is the pipeline's active one.

        An update in an unknown state counts as active only if it is the pipeline's newest.
        """
        seen = self.fetch_update(run_id)
        if is_known(seen.state):
            return not is_final(seen.state)
        newest = next(iter(self.fetch_newest_updates(run_id.pipeline_id)), None)
        return newest is not None and newest.update_id == run_id.update_id

    def _send(
        self,
        request: ApiRequest,
        timeout_seconds: float = budgets.DATABRICKS_READ,
        begins_by: Deadline | None = None,
    ) -> JsonObject:
        """Send the request. If the workspace refuses the token or the permission, send it once more with a new token.

        No request begins after `begins_by`.
        """
        databricks, tokens = self._databricks, self._databricks.tokens
        with self._lock:
            self.asked += 1
        token = tokens.token(until=begins_by)
        status, headers, body = self._send_as(token, request, timeout_seconds, begins_by)
        refusal = refusal_of(status, headers, body)
        if refusal in {Refusal.TOKEN, Refusal.PERMISSION}:
            renewed = tokens.renewed(
                token,
                expired=refusal is Refusal.TOKEN,
                worked_before=token == databricks.accepted_token,
                until=begins_by,
            )
            if renewed is not None:
                token = renewed
                status, headers, body = self._send_as(token, request, timeout_seconds, begins_by)
        if status < 300:
            databricks.accepted_token = token
        counts = True
        try:
            return pipelines_api.decode_answer(request, status, headers, body)
        except DatabricksError as error:
            counts = not error.refuses_app
            raise
        finally:
            with self._lock:
                self.answered += counts

    def _send_as(self, token: str, request: ApiRequest, timeout_seconds: float, begins_by: Deadline | None) -> Answer:
        identity = Identity(token, self._resource_headers(begins_by))
        if begins_by is not None and begins_by.is_over():
            raise DatabricksUnreachable("A token took too long; nothing was sent.", was_sent=False)
        return self._send_once(request, identity, timeout_seconds)

    def _send_once(self, request: ApiRequest, identity: Identity, timeout_seconds: float) -> Answer:
        seconds = min(timeout_seconds, self.deadline.seconds_left())
        if seconds <= 0.01:
            raise DatabricksUnreachable("The time for asking Databricks ran out.", was_sent=False)
        with self._lock:
            self.calls += 1
        return exchange(self._databricks.session, self._databricks.workspace, request, identity, seconds)

    def _resource_headers(self, until: Deadline | None) -> dict[str, str]:
        """Headers for a principal that is not added to the workspace. Empty unless `resourceId` is configured."""
        workspace = self._databricks.workspace
        if workspace.resource_id is None:
            return {}
        return {
            "X-Databricks-Azure-Workspace-Resource-Id": workspace.resource_id,
            "X-Databricks-Azure-SP-Management-Token": self._databricks.tokens.token(
                management_scope(workspace.url), until
            ),
        }
