"""Logs unreadable rows of PolysyncRuns. The app never repairs them, because only a person can know what they held."""

from __future__ import annotations

import logging

MOST_LOGGED = 20
"""A sweep and a pass of deliveries log at most this many unreadable rows each."""
_log = logging.getLogger("polysync.rows")


def log_unreadable(partition: str, key: str, action: str) -> None:
    _log.error(
        "row cannot be read: PartitionKey %s, RowKey %s; correct or delete this row",
        partition,
        key,
        extra={"action": action},
    )
