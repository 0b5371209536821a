"""The issuer's methods over HTTP, for other processes: POST /_sim/{method} with a JSON object of its arguments."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from local.entra.sign_in import SignInIssuer
from local.messages import Reply, Request, json_reply

PREFIX = "/_sim/"
METHODS = (
    "issue",
    "wrong_token",
    "rotate",
    "forget_old",
    "fetches",
    "clear_fetches",
    "register_redirect",
    "configure_sign_in",
    "sign_in_as",
    "ask_who",
    "revoke_refresh_tokens",
    "sign_in_calls",
    "clear_sign_in",
    "add_fault",
    "clear_faults",
    "down",
    "up",
)


def answer(issuer: SignInIssuer, request: Request) -> Reply:
    """Answer 200 `{"result": …}`, 400 `{"error": …}` for wrong arguments, or 404 for an unknown method."""
    method = request.path.removeprefix(PREFIX)
    if request.method != "POST" or method not in METHODS:
        return json_reply({"error": f"POST {PREFIX}<method>, one of: {', '.join(METHODS)}"}, status=404)
    try:
        arguments = json.loads(request.body or b"{}")
        if not isinstance(arguments, dict):
            raise TypeError("the body must be a JSON object")
        result = getattr(issuer, method)(**arguments)
    except (TypeError, ValueError) as error:
        return json_reply({"error": str(error)}, status=400)
    return Reply(body=json.dumps({"result": result}, default=_plain).encode(), content_type="application/json")


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
