"""Why an update failed, out of the pipeline's event log. Pure.

The event that reports a failure says only "Update 27bc77 is FAILED."; the reason is in its exceptions, the cause last
(https://learn.microsoft.com/azure/databricks/ldp/monitor-event-log-schema). Databricks' filters are unreliable, so
events of other updates are left out here again.
"""

from __future__ import annotations

from collections.abc import Iterable

from polysync_core.values.databricks import ErrorEvent
from polysync_core.values.run import RunError

MAX_MESSAGE, MAX_CODE = 1000, 200
UNKNOWN_FAILURE = RunError(code="UpdateFailed", message="The update failed; its page in Databricks shows the events.")


def find_reason(events: Iterable[ErrorEvent], update_id: str) -> RunError | None:
    """The innermost useful exception of the update's events, newest first, a fatal one before others.

    None when no event of this update holds a text.
    """
    ours = [event for event in events if event.update_id == update_id]
    for event in sorted(ours, key=lambda event: not event.fatal):
        for failure in reversed(event.failures):
            message = one_line(failure.message or "")
            if message:
                return RunError(code=(failure.class_name or "UpdateFailed")[:MAX_CODE], message=message)
    return None


def one_line(text: str) -> str:
    """`text` without line breaks and runs of blanks, cut to a bounded length."""
    line = " ".join(text[: MAX_MESSAGE * 4].split())
    return line if len(line) <= MAX_MESSAGE else f"{line[: MAX_MESSAGE - 1]}…"
