"""The function for the route of a run's events."""

from __future__ import annotations

from polysync_core.rules.wire import http_contract
from polysync_core.rules.wire.event_document import decode_events_continuation, encode_events
from polysync_core.rules.wire.http_answers import Reply
from polysync_core.rules.wire.http_contract import Call
from polysync_core.services import Services
from polysync_core.use_cases import events, reading


def run_events(call: Call, services: Services) -> Reply:
    named = http_contract.decode_workspace(call, services.workspace_names, query=("continuation",))
    run_id = http_contract.decode_run_id(call)
    key = services.continuation_key()
    page_token = decode_events_continuation(call, run_id, key)
    run, ws = reading.find_run(run_id, services.among(named))
    return Reply(status=200, body=encode_events(events.read_events(run, ws, page_token), run_id, key))
