"""One HTTP exchange with a workspace: send a request, read the whole answer, count it, and give it a span."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

import requests
import urllib3
from requests.auth import AuthBase
from requests.structures import CaseInsensitiveDict

from polysync_core.adapters import metrics
from polysync_core.adapters.databricks.http_pool import response_deadline
from polysync_core.adapters.telemetry import client_span
from polysync_core.rules.decisions import budgets
from polysync_core.rules.wire.pipelines_api import ApiRequest
from polysync_core.values.databricks_errors import DatabricksUnreachable
from polysync_core.values.workspace import Workspace

Answer = tuple[int, CaseInsensitiveDict[str], bytes]
"""The status, the headers and the body."""
_MAX_ANSWER_BYTES = 32 * 1024 * 1024


class Identity(AuthBase):
    """Sets the token as requests' own authentication, so that a .netrc on the machine cannot replace it."""

    def __init__(self, token: str, headers: dict[str, str]) -> None:
        self._headers = {"Authorization": f"Bearer {token}", **headers}

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(self._headers)
        return request


def exchange(
    session: requests.Session, workspace: Workspace, request: ApiRequest, identity: Identity, seconds: float
) -> Answer:
    """Send the request, and return the whole answer within `seconds`. Raises DatabricksUnreachable."""
    route, headers = f"{request.method} {request.route}", dict[str, str]()
    ids = dict(zip(("polysync.pipeline_id", "polysync.update_id"), request.named, strict=False))
    status: int | None = None
    with client_span(route, {"polysync.workspace": workspace.name, **ids}, headers) as span:
        try:
            answer = _exchange(session, workspace.url, request, headers, identity, seconds)
            status = answer[0]
        finally:
            metrics.note_call(workspace.name, route, status)
        span.note({"http.response.status_code": status})
        if status >= 400:
            span.fail(str(status))
        return answer


def _exchange(
    session: requests.Session,
    workspace_url: str,
    request: ApiRequest,
    headers: Mapping[str, str],
    identity: Identity,
    seconds: float,
) -> Answer:
    try:
        with response_deadline(seconds):
            response = session.request(
                request.method,
                workspace_url + request.path,
                params=request.query,
                headers=headers,
                json=request.body,
                auth=identity,
                timeout=(min(budgets.DATABRICKS_CONNECT, seconds), seconds),
                allow_redirects=False,
                stream=True,
            )
            with response:
                return response.status_code, response.headers, _read(response)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as wrong:
        raise _unreachable(wrong) from None


def _read(response: requests.Response) -> bytes:
    """The whole body. Raises HTTPError when it is too long."""
    body = bytearray()
    while piece := response.raw.read1(1 << 16, decode_content=True):
        body += piece
        if len(body) > _MAX_ANSWER_BYTES:
            raise urllib3.exceptions.HTTPError("too long")
    return bytes(body)


def _unreachable(wrong: Exception) -> DatabricksUnreachable:
    """Distinguish a connection that was never made from a request that may have been executed.

    The error's text holds no address.
    """
    reason = _innermost(wrong)
    if isinstance(getattr(reason, "args", [None])[0], ssl.SSLCertVerificationError):
        return DatabricksUnreachable("The workspace's certificate is not valid.", was_sent=False)
    if isinstance(reason, urllib3.exceptions.NameResolutionError):
        return DatabricksUnreachable("The workspace's host name could not be resolved.", was_sent=False)
    if isinstance(wrong, requests.ConnectTimeout | requests.exceptions.ProxyError) or isinstance(
        reason, urllib3.exceptions.ConnectTimeoutError | urllib3.exceptions.NewConnectionError
    ):
        return DatabricksUnreachable("No connection to Databricks could be made.", was_sent=False)
    if isinstance(wrong, requests.Timeout) or isinstance(reason, urllib3.exceptions.TimeoutError):
        return DatabricksUnreachable("Databricks did not answer in time.", was_sent=True)
    return DatabricksUnreachable("The connection to Databricks broke before its answer was complete.", was_sent=True)


def _innermost(wrong: Exception) -> Any:
    """The error that requests or urllib3 wrapped: the reason of a MaxRetryError, or else the first argument."""
    inner = wrong.args[0] if wrong.args else None
    return getattr(inner, "reason", None) or inner
