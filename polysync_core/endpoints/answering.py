"""Turns the outcome of a request into a response: a reply, a problem, or, for a bug, a reference to the log."""

from __future__ import annotations

import logging
from collections.abc import Callable

from polysync_core import services
from polysync_core.endpoints.door import admit
from polysync_core.rules.wire.http_answers import Reply, internal_error, problem
from polysync_core.rules.wire.http_contract import Call
from polysync_core.services import Services
from polysync_core.values.errors import InvalidRequest, PolysyncError, SettingsError, WorkspaceNotFound

Endpoint = Callable[[Call, Services], Reply]
OnBadSettings = Callable[[SettingsError, Call], Reply]
"""Makes the reply to a call while the settings are invalid."""
_log = logging.getLogger("polysync.http")


def refuse_all(error: SettingsError, call: Call) -> Reply:
    """A 503 that names every invalid setting."""
    return problem(error, call.path)


def answer(call: Call, endpoint: Endpoint, on_bad_settings: OnBadSettings = refuse_all) -> Reply:
    """Serve `call`. A SettingsError becomes the reply of `on_bad_settings`. Any other PolysyncError becomes a problem.

    `on_bad_settings` may raise a PolysyncError too. Any other exception is a bug: the reply is a 500 with a reference
    id, which the log holds too.
    """
    try:
        try:
            found = services.current()
        except SettingsError as error:
            _warn(call, endpoint, error)
            return on_bad_settings(error, call)
        return _serve(call, endpoint, found)
    except PolysyncError as error:
        if error.http_status >= 500:
            _warn(call, endpoint, error)
        return problem(error, call.path)
    except Exception:
        reference = services.new_id()
        _log.exception("%s %s: a bug, reference %s", call.method, call.path, reference)
        return internal_error(reference, call.path)


def _serve(call: Call, endpoint: Endpoint, found: Services) -> Reply:
    """Let the caller in, and serve it. A caller who has signed in is not told which workspaces it may not see."""
    admitted = admit(call, endpoint.__name__, found)
    try:
        return endpoint(call, admitted)
    except InvalidRequest as wrong:
        if admitted.callers is None or not any(problem.is_unknown for problem in wrong.problems):
            raise
        raise WorkspaceNotFound("There is no such workspace, or you may not see it.") from wrong


def _warn(call: Call, endpoint: Endpoint, error: PolysyncError) -> None:
    _log.warning("%s %s: %s", call.method, call.path, error.detail, extra={"action": endpoint.__name__})


def on_message(name: str, work: Callable[[Services], object]) -> None:
    """Do the work that a message on a queue asks for. Every error is only logged, because a retry would come too late.

    So the host delivers no message twice, and no message ends in the poison queue.
    """
    try:
        work(services.current())
    except PolysyncError as error:
        _log_failure(name, error)
    except Exception:
        _log.exception("%s: a bug", name, extra={"action": name})


def on_timer(name: str, work: Callable[[Services], object]) -> None:
    """Do a timer's work. A PolysyncError means that the work failed as a whole. It is logged once, and raised.

    So the host counts a failed invocation, and writes a line of its own. The next tick tries again.
    """
    try:
        work(services.current())
    except PolysyncError as error:
        _log_failure(name, error)
        raise error from None  # the host logs the stack trace, and the error before this one may hold an address


def _log_failure(name: str, error: PolysyncError) -> None:
    _log.error("%s: %s", name, error.detail, extra={"action": name})
