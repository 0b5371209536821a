"""Keeps secrets out of the log: below these levels, the libraries log the addresses of their calls.

Such an address may hold the signature of a connection string. The host sets the level of the root logger only, so it
cannot silence these loggers. The logger azure.functions belongs to the host and keeps its level.
"""

from __future__ import annotations

import logging

_LEVELS = {
    "azure.core": logging.WARNING,
    "azure.data": logging.WARNING,
    "azure.identity": logging.WARNING,
    "msal": logging.WARNING,
    "urllib3": logging.ERROR,
}


def quiet_libraries() -> None:
    """Raise the levels of the libraries' loggers."""
    for library, level in _LEVELS.items():
        logging.getLogger(library).setLevel(level)
