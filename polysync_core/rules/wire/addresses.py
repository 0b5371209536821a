"""The addresses that callers get: absolute addresses of this app, and pages of Databricks. And the await token."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode, urlsplit

from polysync_core.values.ids import RunId

PREFIX = "/api"
POLL_AFTER_SECONDS = 15
"""The Retry-After of a waiting caller, in seconds. It is the interval of the sweep."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The app's addresses. They begin with `base_url`, which is a scheme and a host, without a slash at the end.

    `base_url` may have a path, which replaces /api. A gateway may offer the app's routes under its own path. If
    the app has several workspaces, every address names `workspace`, so that a poll reads only one of them.
    """

    base_url: str
    workspace: str | None = None

    def naming(self, workspace: str | None) -> Addresses:
        """Return the same addresses with `workspace` in them. None leaves the workspace out."""
        return replace(self, workspace=workspace)

    @property
    def routes_url(self) -> str:
        """The part of an address before the route."""
        return self.base_url if urlsplit(self.base_url).path else f"{self.base_url}{PREFIX}"

    def status_url(self, run_id: RunId) -> str:
        return self._of_run(run_id)

    def cancel_url(self, run_id: RunId) -> str:
        return self._of_run(run_id, "/cancel")

    def result_url(self, run_id: RunId, token: str) -> str:
        """Return the await address. It is a credential for this one run."""
        return self._of_run(run_id, "/result", token=token)

    def _of_run(self, run_id: RunId, rest: str = "", **query: str) -> str:
        if self.workspace is not None:
            query["workspace"] = self.workspace
        return f"{self.routes_url}/runs/{run_id}{rest}{'?' if query else ''}{urlencode(query)}"

    def waiting_headers(self, run_id: RunId, token: str) -> Mapping[str, str]:
        """Return the headers of a 202. Location makes Data Factory and Logic Apps wait.

        Azure's pollers find the status by Operation-Location.
        """
        return {
            "Location": self.result_url(run_id, token),
            "Operation-Location": self.status_url(run_id),
            "Retry-After": str(POLL_AFTER_SECONDS),
        }


def monitor_url(workspace_url: str, pipeline_id: str) -> str:
    """Return the address of the pipeline's page, in the form that the mission prescribes."""
    return f"{workspace_url}/#joblist/pipelines/{pipeline_id}"


def update_url(workspace_url: str, run_id: RunId) -> str:
    """Return the address of an update's page."""
    return f"{workspace_url}/pipelines/{run_id.pipeline_id}/updates/{run_id.update_id}"


def await_token(secret: bytes, run_id: RunId) -> str:
    """Return the HMAC-SHA256 of the run id. It is 43 characters of URL-safe base64 without padding."""
    digest = hmac.new(secret, str(run_id).encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def is_await_token(given: str, secrets: Sequence[bytes], run_id: RunId) -> bool:
    """Whether `given` is the token of this run under one of `secrets`. Each comparison takes constant time.

    All of them are made, so the time does not show which secret it was.
    """
    found = [hmac.compare_digest(given.encode(), await_token(secret, run_id).encode()) for secret in secrets]
    return any(found)
