"""The messages on the queue of the sweep: `{"sentAt": "2026-11-27T12:00:00+00:00", "workspaces": ["finance"]}`."""

from __future__ import annotations

import json
from datetime import datetime

from polysync_core.values.run import SweepGroup

QUEUE = "polysync-sweeps"
STORAGE_SETTING = "AzureWebJobsStorage"
"""The queue is in the host's own storage account."""


def encode_group(group: SweepGroup) -> str:
    """Return the text of a message."""
    return json.dumps({"sentAt": group.sent_at.isoformat(), "workspaces": group.workspaces})


def decode_group(body: bytes) -> SweepGroup:
    """Read a message. Raises ValueError for anything else."""
    try:
        message = json.loads(body)
        sent_at, names = datetime.fromisoformat(message["sentAt"]), message["workspaces"]
        is_message = sent_at.tzinfo is not None and isinstance(names, list) and all(map(_is_text, names))
    except (ValueError, TypeError, KeyError, RecursionError):
        is_message = False
    if not is_message:
        raise ValueError("no message of the sweep")
    return SweepGroup(sent_at=sent_at, workspaces=tuple(names))


def _is_text(value: object) -> bool:
    return isinstance(value, str)
