"""The issuer's methods over HTTP, for other processes: POST /_sim/{method} with a JSON object of its arguments."""

from __future__ import annotations

import json

from local.entra.issuer import Issuer
from local.messages import Reply, Request, json_reply

PREFIX = "/_sim/"
METHODS = (
    "issue",
    "wrong_token",
    "rotate",
    "forget_old",
    "fetches",
    "clear_fetches",
    "add_fault",
    "clear_faults",
    "down",
    "up",
)


def answer(issuer: Issuer, request: Request) -> Reply:
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
    return json_reply({"result": result})
