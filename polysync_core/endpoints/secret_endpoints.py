"""The route of the app's own secrets."""

from __future__ import annotations

from polysync_core.rules.wire.http_answers import Reply
from polysync_core.rules.wire.http_contract import Call
from polysync_core.rules.wire.rotation_contract import decode_rotation, encode_rotation
from polysync_core.services import Services
from polysync_core.use_cases.await_addresses import rotate_await_key as rotate


def rotate_await_key(call: Call, services: Services) -> Reply:
    days = decode_rotation(call)
    rotation = rotate(services.await_keys, services.clock, keep_old_for_days=days, caller=services.caller.id)
    return Reply(status=200, body=encode_rotation(rotation))
