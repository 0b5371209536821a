"""The control methods over HTTP, for other processes: POST /_sim/{method} with a JSON object of its arguments."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from local.messages import Reply, Request, json_reply
from local.workspace.control import Control
from local.workspace.wire import Refusal, json_object

PREFIX = "/_sim/"
METHODS = (
    "configure",
    "add_pipeline",
    "add_pipelines",
    "remove_pipeline",
    "rename_pipeline",
    "set_spec",
    "set_script",
    "forbid",
    "allow",
    "pipeline_ids",
    "updates_of",
    "start_elsewhere",
    "begin_beside",
    "set_state",
    "advance",
    "forget_update",
    "add_event",
    "add_fault",
    "answer_with",
    "clear_faults",
    "down",
    "up",
    "issue_token",
    "revoke_tokens",
    "tokens_issued",
    "calls",
    "identity_calls",
    "clear_calls",
)


def answer(control: Control, request: Request) -> Reply:
    """Answer 200 `{"result": …}`, 400 `{"error": …}` for wrong arguments, or 404 for an unknown method."""
    method = request.path.removeprefix(PREFIX)
    if request.method != "POST" or method not in METHODS:
        return json_reply({"error": f"POST {PREFIX}<method>, one of: {', '.join(METHODS)}"}, status=404)
    try:
        result = getattr(control, method)(**json_object(request.body or b"{}"))
    except (TypeError, ValueError, Refusal) as error:
        return json_reply({"error": str(error)}, status=400)
    return Reply(
        status=200, body=json.dumps({"result": result}, default=_plain).encode(), content_type="application/json"
    )


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
