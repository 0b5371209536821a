"""Requests that the app refuses, written once. Every way to serve the app must give the same responses."""

from __future__ import annotations

from dataclasses import dataclass

from polysync_core.rules.wire.entra_settings import ENTRA, KEYS
from tests.functions.app import UNKNOWN_WORKSPACE, Answer, ServedApp


@dataclass(frozen=True)
class BadRequest:
    """A request that the app refuses before it calls storage or Databricks.

    Where callers sign in, it is refused with `signed_in`, if that is given.
    """

    reason: str
    status: int
    code: str
    method: str = "POST"
    address: str = "/api/pipelines/p1/updates"
    body: object = None
    key: str | None = None
    signed_in: tuple[int, str] | None = None

    def expected(self, mode: str) -> tuple[int, str]:
        """Status and code of the response."""
        return self.signed_in if mode == ENTRA and self.signed_in is not None else (self.status, self.code)

    def send(self, app: ServedApp) -> Answer:
        if self.method == "GET":
            return app.get(self.address)
        headers = {} if self.key is None else {"Idempotency_Key": self.key}
        return app.post(self.address, self.body, **headers)


def _start(
    reason: str, body: object, *, address: str = "/api/pipelines/p1/updates", key: str | None = None
) -> BadRequest:
    return BadRequest(reason, 400, "InvalidRequest", address=address, body=body, key=key)


def _unknown_workspace(reason: str, method: str, address: str, body: object = None) -> BadRequest:
    status, code = UNKNOWN_WORKSPACE[KEYS]
    return BadRequest(reason, status, code, method, address, body, signed_in=UNKNOWN_WORKSPACE[ENTRA])


def _get(reason: str, address: str, status: int = 400, code: str = "InvalidRequest") -> BadRequest:
    return BadRequest(reason, status, code, "GET", address)


BAD_REQUESTS = (
    _start("not JSON", b"{full_refresh: true}"),
    _start("not UTF-8", b'{"full_refresh": "\xff"}'),
    _start("no object", []),
    _start("NaN", b'{"parameters": {"a": NaN}}'),
    _start("a name twice", b'{"full_refresh": true, "full_refresh": false}'),
    _start("nested very deeply", b'{"parameters": {"a": ' + b"[" * 30_000),
    _start("an unknown field, not ASCII", {"größe": "注文"}),
    _start("several wrong fields", {"full_refresh": 1, "onConflict": "wait", "workspace": 7}),
    _start("full_refresh as another word", {"full_refresh": "yes"}),
    _start("full_refresh as null in parameters' place", {"parameters": {"full_refresh": [True]}}),
    _start("a contradiction", {"full_refresh": True, "parameters": {"full_refresh": "false"}}),
    _start("another pipeline_id", {"pipeline_id": "p2"}),
    _unknown_workspace("an unknown workspace", "POST", "/api/pipelines/p1/updates", {"workspace": "nowhere"}),
    _unknown_workspace("an unknown workspace in the query", "POST", "/api/pipelines/p1/updates?workspace=nowhere", {}),
    _start("two workspaces", {"workspace": "a"}, address="/api/pipelines/p1/updates?workspace=b"),
    _start("a pipeline id that is none", {}, address="/api/pipelines/p%20%C3%A4/updates"),
    _start("a pipeline id too long", {}, address=f"/api/pipelines/{'p' * 65}/updates"),
    _start("an empty key", {}, key='""'),
    _start("a key with a tab", {}, key='"a\tb"'),
    _start("a pipeline id that is none, on cancel", {}, address="/api/pipelines/p.1/cancel"),
    _start("cancel with no object", [1], address="/api/pipelines/p1/cancel"),
    _start("a rotation with a field of another name", {"keepDays": 1}, address="/api/secrets/await/rotate"),
    _start("a rotation with days as a string", {"keepOldForDays": "7"}, address="/api/secrets/await/rotate"),
    _start("a rotation of one workspace", {}, address="/api/secrets/await/rotate?workspace=sales"),
    BadRequest("a start over 64 KB", 413, "BodyTooLarge", body=b" " * 65_537),
    BadRequest("a cancel over 64 KB", 413, "BodyTooLarge", address="/api/runs/p1:u1/cancel", body=b" " * 65_537),
    BadRequest("cancel of an unknown run", 404, "RunNotFound", address="/api/runs/p1:u1/cancel"),
    BadRequest("cancel of an idle pipeline", 404, "RunNotFound", address="/api/pipelines/p1/cancel"),
    _get("an unknown run", "/api/runs/p1:u1", 404, "RunNotFound"),
    _get("a run id that is none", "/api/runs/p1", 404, "RunNotFound"),
    _get("a run id that is none, not ASCII", "/api/runs/%E6%B3%A8%3Au1", 404, "RunNotFound"),
    _get("the result of an unknown run", "/api/runs/p1:u1/result?token=x", 404, "RunNotFound"),
    _unknown_workspace("a run in an unknown workspace", "GET", "/api/runs/p1:u1?workspace=nowhere"),
    _unknown_workspace("events in an unknown workspace", "GET", "/api/runs/p1:u1/events?workspace=nowhere"),
    _get("the events of an unknown run", "/api/runs/p1:u1/events", 404, "RunNotFound"),
    _get("the events of a run id that is none", "/api/runs/p1/events", 404, "RunNotFound"),
    _get("a continuation made up, of events", "/api/runs/p1:u1/events?continuation=%C3%A4"),
    _get("a continuation of runs for events", "/api/runs/p1:u1/events?continuation=cmVjZW50fA=="),
    _get("events with a parameter of another list", "/api/runs/p1:u1/events?limit=5"),
    _get("events of all workspaces", "/api/runs/p1:u1/events?workspace=*"),
    _unknown_workspace("a cancel in an unknown workspace", "POST", "/api/runs/p1:u1/cancel?workspace=nowhere", {}),
    _get("an unknown status", "/api/runs?status=Done"),
    _get("a limit of 0", "/api/runs?limit=0"),
    _get("a limit of 201", "/api/runs?limit=201"),
    _get("two limits", "/api/runs?limit=1&limit=2"),
    _get("a continuation made up", "/api/runs?continuation=%C3%A4"),
    _get("active that is neither", "/api/runs?active=yes"),
    _get("a job that is not imported", "/api/jobs/p1", 404, "JobNotFound"),
    _get("a job's id that is none", "/api/jobs/p%20q"),
    _get("a run of all workspaces", "/api/runs/p1:u1?workspace=*"),
    _get("a continuation made up, of all workspaces", "/api/runs?workspace=*&continuation=%C3%A4"),
    _get("a continuation of one workspace for all", "/api/runs?workspace=*&continuation=cmVjZW50fA=="),
    _unknown_workspace("jobs of an unknown workspace", "GET", "/api/jobs?workspace=nowhere"),
    _get("a continuation of runs for jobs", "/api/jobs?continuation=cmVjZW50fA=="),
    _start("a discovery with an unknown field", {"pipelines": []}, address="/api/jobs/discover"),
    _start("a discovery from nowhere", {"continuation": "x"}, address="/api/jobs/discover"),
    _start("a sync with no object", [1], address="/api/jobs/p1/sync"),
    BadRequest("a sync of an unknown job", 404, "JobNotFound", address="/api/jobs/p1/sync"),
)
