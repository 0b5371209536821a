"""Turns the outcome of a request into a response: a reply, a problem, or, for a bug, a reference to the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from polysync_core import services
from polysync_core.adapters import telemetry
from polysync_core.endpoints.door import admit
from polysync_core.rules.wire.http_answers import FileReply, Reply, internal_error, problem
from polysync_core.rules.wire.http_contract import Call
from polysync_core.services import Services
from polysync_core.values.errors import InvalidRequest, PolysyncError, SettingsError, WorkspaceNotFound
from polysync_core.values.invocation import Invocation

AnyReply = Reply | FileReply
Endpoint = Callable[[Call, Services], AnyReply]
OnBadSettings = Callable[[SettingsError, Call], AnyReply]
"""Makes the reply to a call while the settings are invalid."""
_log = logging.getLogger("polysync.http")
_MOST_OF_A_VALUE = 255


def refuse_all(error: SettingsError, call: Call) -> Reply:
    """A 503 that names every invalid setting."""
    return problem(error, call.path)


def answer(call: Call, endpoint: Endpoint, on_bad_settings: OnBadSettings = refuse_all) -> AnyReply:
    """Serve `call`. A SettingsError becomes the reply of `on_bad_settings`. Any other PolysyncError becomes a problem.

    `on_bad_settings` may raise a PolysyncError too. Any other exception is a bug: the reply is a 500 with a reference
    id, which the log holds too.
    """
    with telemetry.invocation(endpoint.__name__, call.invocation, _about(call)) as span:
        reply = _answer(call, endpoint, on_bad_settings)
        span.note({"http.response.status_code": reply.status, **_shown(reply)})
        if reply.status >= 500:
            span.fail(str(reply.body.get("code", reply.status)))
        return reply


def _about(call: Call) -> telemetry.Attributes:
    """What a request says about itself. Nothing of it is checked yet, so each value is cut."""
    return {
        "http.request.method": call.method,
        "polysync.pipeline_id": call.route.get("pipeline_id", "")[:_MOST_OF_A_VALUE] or None,
        "polysync.run_id": call.route.get("run_id", "")[:_MOST_OF_A_VALUE] or None,
        "polysync.workspace": call.query.get("workspace", "")[:_MOST_OF_A_VALUE] or None,
        "polysync.idempotency_key": call.headers.get("idempotency-key", "")[:_MOST_OF_A_VALUE] or None,
    }


def _shown(reply: AnyReply) -> telemetry.Attributes:
    """What the document of a run names."""
    names = {"runId": "polysync.run_id", "pipelineId": "polysync.pipeline_id", "workspace": "polysync.workspace"}
    return {attribute: str(reply.body[name]) for name, attribute in names.items() if reply.body.get(name)}


def _answer(call: Call, endpoint: Endpoint, on_bad_settings: OnBadSettings) -> AnyReply:
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


def _serve(call: Call, endpoint: Endpoint, found: Services) -> AnyReply:
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


def on_message(name: str, work: Callable[[Services], object], invocation: Invocation) -> None:
    """Do the work that a message on a queue asks for. Every error is only logged, because a retry would come too late.

    So the host delivers no message twice, and no message ends in the poison queue.
    """
    try:
        with _invoked(name, invocation):
            work(services.current())
    except PolysyncError:
        return  # it is logged
    except Exception:
        _log.exception("%s: a bug", name, extra={"action": name})


def on_timer(name: str, work: Callable[[Services], object], invocation: Invocation) -> None:
    """Do a timer's work. A PolysyncError means that the work failed as a whole. It is logged once, and raised.

    So the host counts a failed invocation, and writes a line of its own. The next tick tries again.
    """
    with _invoked(name, invocation):
        work(services.current())


@contextmanager
def _invoked(name: str, invocation: Invocation) -> Iterator[None]:
    """One invocation that nobody waits for. A PolysyncError is logged, and raised without its cause.

    The host logs the stack trace, and the error before this one may hold an address.
    """
    try:
        with telemetry.invocation(name, invocation, {}):
            try:
                yield
            except PolysyncError as error:
                _log.error("%s: %s", name, error.detail, extra={"action": name})
                raise error from None
    finally:
        telemetry.flush()
