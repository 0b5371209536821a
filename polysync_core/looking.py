"""One look at one run: what Databricks says of its update now."""

from __future__ import annotations

from polysync_core.adapters.databricks import Conversation
from polysync_core.errors import DatabricksError
from polysync_core.model import Run, SeenUpdate
from polysync_core.rules.sweep_rules import Missing


def look_at(run: Run, talk: Conversation) -> SeenUpdate | Missing:
    """The update, or Missing when Databricks says in so many words that it does not exist.

    Everything else that is no answer is raised: a look that fails never changes a run.
    """
    try:
        return talk.fetch_update(run.current_id)
    except DatabricksError as error:
        if error.does_not_exist:
            return Missing.MISSING
        raise
