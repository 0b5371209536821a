"""Checks that no response and no log holds a secret."""

import re

from polysync_core import __version__
from tests.functions.app import KEY, UNKNOWN_WORKSPACE, Answer, ServedApp

QUERY_MARK = "mark-of-the-query"
_TOLD_NEVER = {
    "a key of the host": re.escape(KEY),
    "a query string": re.escape(QUERY_MARK),
    "a signature": r"sig=\w",
    "an Entra ID token": r"eyJ[\w-]{8}",
    "the storage key": r"Eby8vdM0|AccountKey",
    "a stack trace": r"Traceback|File \"",
    "a path of this machine": r"/[\w/-]+\.py\b",
}
_AWAIT_TOKEN = r"token=[\w-]{20}"


def check_told(log: str, *answers: Answer, addresses_told: bool = False) -> None:
    """Assert that no secret is in the log or the responses.

    With `addresses_told`, the responses may hold result addresses. The response to a start holds the caller's own one.
    """
    for text in (log, *(f"{dict(answer.headers)} {answer.body.decode()}" for answer in answers)):
        found = {what for what, pattern in _TOLD_NEVER.items() if re.search(pattern, text)}
        assert not found, text
        assert (addresses_told and text is not log) or not re.search(_AWAIT_TOKEN, text), text


def check_problem(answer: Answer, status: int, code: str) -> None:
    """Assert that the response is a problem of RFC 9457, with Azure's `error`, and shows nothing else."""
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json"), answer
    document = answer.json
    assert (document["status"], document["code"]) == (status, code)
    assert document["type"] == f"urn:polysync:problem:{code}"
    assert document["title"]
    assert document["detail"]
    assert document["error"] == {"code": code, "message": document["detail"]}
    assert document["instance"].startswith("/api/")
    assert "?" not in document["instance"]


def check_unknown_workspace(app: ServedApp, answer: Answer) -> None:
    """Assert that the response is that to an unknown workspace. Only a caller with a key is told the known ones."""
    check_problem(answer, *UNKNOWN_WORKSPACE[app.credential.mode])
    told = [(wrong["field"], wrong["allowed"]) for wrong in answer.json.get("errors", ())]
    known = ", ".join(app.workspaces)
    assert told == ([("workspace", f"must be one of {known}")] if answer.status == 400 else [])


def told_of_settings(answer: Answer, route: str) -> str:
    """Return the text about wrong settings. Health has its own form, and every other route sends a problem."""
    if route == "health":
        (check,) = answer.json["checks"]
        assert (answer.status, answer.json["status"], check["name"], check["ok"]) == (503, "failing", "settings", False)
        assert (answer.json["version"], answer.json["workspaces"]) == (__version__, {})
        return str(check["message"])
    check_problem(answer, 503, "SettingsInvalid")
    assert answer.json["detail"] == " ".join(answer.json["settings"])
    assert int(answer.headers["retry-after"]) > 0
    return str(answer.json["detail"])
