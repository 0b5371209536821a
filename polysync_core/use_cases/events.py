"""Read the events of a run from its pipeline's event log in Databricks. They are passed on and never stored."""

from __future__ import annotations

from polysync_core.adapters.workspace_services import WorkspaceServices
from polysync_core.rules.decisions import budgets
from polysync_core.rules.decisions.event_rules import ENOUGH, MOST_PAGES, event_times, events_of, next_token
from polysync_core.rules.wire.event_log_api import may_be_old_token
from polysync_core.values.databricks import EventsPage, LogEvent
from polysync_core.values.databricks_errors import DatabricksError, DatabricksUnreachable, PipelineNotFound
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import ContinuationExpired, PolysyncError
from polysync_core.values.run import Run

_NO_LOG = "Databricks shows no event log without its pipeline."


def read_events(run: Run, ws: WorkspaceServices, page_token: str | None) -> EventsPage:
    """A page of the run's events, newest first, of all its attempts. It goes on at `page_token` (None: the newest).

    A process fetches a page once in `budgets.EVENTS_KEPT`, for all its readers. An error counts too.

    Raises ContinuationExpired, PipelineNotFound and what Databricks raises. Raises DatabricksUnreachable at once while
    the workspace is silent or has enough readers, and when another reader's fetch takes too long.
    """
    key = (ws.workspace.name, run.run_id, page_token)
    try:
        return ws.kept_events.get(key, lambda: _fetch(run, ws, page_token), wait_seconds=budgets.READ_WAIT)
    except TimeoutError:
        raise DatabricksUnreachable("Another reader still waits for Databricks.", was_sent=False) from None


def _fetch(run: Run, ws: WorkspaceServices, page_token: str | None) -> EventsPage:
    if not ws.gate.try_enter():
        raise DatabricksUnreachable(
            "Databricks is not asked now: it gave no answer lately, or enough readers wait for it.", was_sent=False
        )
    try:
        return _fetch_pages(run, ws, page_token)
    finally:
        ws.gate.leave()


def _fetch_pages(run: Run, ws: WorkspaceServices, page_token: str | None) -> EventsPage:
    """Fetch pages until they hold enough. An error after the first page ends the search, which can go on from there."""
    client = ws.databricks.client(Deadline.after(ws.clock, budgets.READ))
    last_begins, times = Deadline.after(ws.clock, budgets.EVENTS_LAST_PAGE), event_times(run)
    found: list[LogEvent] = []
    token = page_token
    for number in range(MOST_PAGES):
        if number and last_begins.is_over():
            break
        try:
            page = client.fetch_events_page(
                run.run_id.pipeline_id, since=times.since, until=times.until, page_token=token
            )
        except (DatabricksError, DatabricksUnreachable) as error:
            ws.gate.note(answered=isinstance(error, DatabricksError))
            if number == 0:
                raise _as_answer(error, token) from None
            break
        ws.gate.note(answered=True)
        found += events_of(run, page.events)
        token = next_token(page, token, times)
        if token is None or len(found) >= ENOUGH:
            break
    return EventsPage(events=tuple(found), next_page_token=token)


def _as_answer(error: DatabricksError | DatabricksUnreachable, page_token: str | None) -> PolysyncError:
    """Return the error as a reader of events gets it."""
    if isinstance(error, DatabricksUnreachable):
        error.http_status = 503  # also if it was sent: a read changes nothing, so its outcome is never in doubt
        return error
    if page_token is not None and may_be_old_token(error):
        return ContinuationExpired("Databricks no longer accepts this continuation; start again without it.")
    return PipelineNotFound.of(error).with_hint(_NO_LOG) if error.does_not_exist else error
