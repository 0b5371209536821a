"""Tokens, and the App Service identity endpoint that issues them.

Source of the protocol: Microsoft, "Managed identities for App Service and Azure Functions", REST endpoint reference.
azure-identity's ManagedIdentityCredential uses it. That library uses the real clock, so the expiry time in the response
uses the real clock too. Whether a token is still valid is decided by the workspace's own clock.
"""

from __future__ import annotations

import base64
import hmac
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from local.messages import Reply, Request, json_reply
from local.workspace.wire import Refusal

ROUTE = "/msi/token"
DATABRICKS_RESOURCE = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d"
MANAGEMENT_RESOURCE = "https://management.core.windows.net/"
API_VERSION = "2019-08-01"
REFUSED_WITHIN_SECONDS = 30

_REVOKED_PAGE = b"<html><head><title>Error 403</title></head><body><h2>Invalid access token</h2></body></html>"


@dataclass(frozen=True, kw_only=True)
class Token:
    resource: str
    expires_at: float


class TokenIssuer:
    """Issues tokens, stores them, and checks the tokens of calls. `now` returns epoch seconds."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.identity_header = secrets.token_hex(16)
        self.issued: dict[str, int] = {DATABRICKS_RESOURCE: 0, MANAGEMENT_RESOURCE: 0}
        self._tokens: dict[str, Token] = {}
        self._revoked: dict[str, bool] = {}

    def issue(self, *, seconds: float, resource: str = DATABRICKS_RESOURCE) -> str:
        """Return a new token in the form of a JWT. Raises ValueError for an unknown resource."""
        if resource not in self.issued:
            raise ValueError(f"resource is one of {', '.join(self.issued)}, not {resource!r}")
        token = Token(resource=resource, expires_at=self._now() + seconds)
        claims = {"aud": resource, "exp": int(time.time() + seconds), "jti": secrets.token_hex(8)}
        parts = [{"alg": "none", "typ": "JWT"}, claims]
        encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
        text = ".".join([*encoded, secrets.token_urlsafe(16)])
        self._tokens[text] = token
        self.issued[resource] += 1
        return text

    def revoke_all(self, *, as_html_403: bool) -> None:
        """Refuse every token that was issued so far."""
        self._revoked = dict.fromkeys(self._tokens, as_html_403)

    def identity_reply(self, request: Request, *, token_seconds: float) -> Reply:
        """The answer to `GET …?resource=…&api-version=2019-08-01` with X-IDENTITY-HEADER."""
        if not hmac.compare_digest(
            request.headers.get("x-identity-header", "").encode(), self.identity_header.encode()
        ):
            return _identity_error(401, "The X-IDENTITY-HEADER is missing or wrong.")
        if request.method != "GET" or request.query_value("api-version") != API_VERSION:
            return _identity_error(400, f"Only GET with api-version={API_VERSION}.")
        asked = request.query_value("resource") or ""
        resource = MANAGEMENT_RESOURCE if asked.rstrip("/") == MANAGEMENT_RESOURCE.rstrip("/") else asked
        if resource not in self.issued:
            return _identity_error(400, f"AADSTS500011: The resource principal named {asked} was not found.")
        text = self.issue(seconds=token_seconds, resource=resource)
        answer = {
            "access_token": text,
            "expires_on": str(int(time.time() + token_seconds)),
            "resource": asked,
            "token_type": "Bearer",
            "client_id": request.query_value("client_id") or "00000000-0000-0000-0000-000000000001",
        }
        return json_reply(answer)

    def rejection(self, headers: Mapping[str, str], *, required_resource_id: str | None) -> Reply | None:
        """The response that refuses a call of the API, 401 or 403. None when the call may pass."""
        scheme, _, text = headers.get("authorization", "").partition(" ")
        token = self._tokens.get(text.strip()) if scheme.lower() == "bearer" else None
        if token is None or token.resource != DATABRICKS_RESOURCE:
            return Refusal(401, "UNAUTHENTICATED", "Request to create a session was not authenticated.").reply()
        revoked_as_html = self._revoked.get(text.strip())
        seconds_left = token.expires_at - self._now()
        if revoked_as_html:
            return Reply(status=403, body=_REVOKED_PAGE, content_type="text/html;charset=utf-8")
        if revoked_as_html is not None or seconds_left <= 0:
            return Refusal(401, "UNAUTHENTICATED", "Token is expired or was revoked.").reply()
        if seconds_left <= REFUSED_WITHIN_SECONDS:
            return Refusal(403, "PERMISSION_DENIED", "Token is expiring within 30 seconds").reply()
        if required_resource_id is not None and not self._may_enter(headers, required_resource_id):
            return Refusal(403, "PERMISSION_DENIED", "The caller is no user of this workspace.").reply()
        return None

    def _may_enter(self, headers: Mapping[str, str], resource_id: str) -> bool:
        text = headers.get("x-databricks-azure-sp-management-token", "")
        token = self._tokens.get(text)
        return (
            headers.get("x-databricks-azure-workspace-resource-id") == resource_id
            and token is not None
            and token.resource == MANAGEMENT_RESOURCE
            and text not in self._revoked
            and token.expires_at > self._now()
        )


def _identity_error(status: int, message: str) -> Reply:
    return json_reply({"statusCode": status, "message": message}, status=status)
