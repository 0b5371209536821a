"""The addresses in answers: our own, which are absolute, and Databricks' pages. Also the token of the await address."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import urlencode, urlsplit

from polysync_core.values.ids import RunId

PREFIX = "/api"
POLL_AFTER_SECONDS = 15
"""The Retry-After of a waiting caller, in seconds. A sweep comes as often."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Our addresses under `base_url`: scheme and host, no slash at the end.

    A path in it takes the place of /api: a gateway may offer the app's routes under a path of its own. `workspace` is
    named in every address where the app has several, so that a poll reads one workspace only.
    """

    base_url: str
    workspace: str | None = None

    def naming(self, workspace: str | None) -> Addresses:
        """The same addresses, which name `workspace`, or none."""
        return replace(self, workspace=workspace)

    @property
    def routes_url(self) -> str:
        """The address before every route."""
        return self.base_url if urlsplit(self.base_url).path else f"{self.base_url}{PREFIX}"

    def status_url(self, run_id: RunId) -> str:
        return self._of_run(run_id)

    def cancel_url(self, run_id: RunId) -> str:
        return self._of_run(run_id, "/cancel")

    def result_url(self, run_id: RunId, token: str) -> str:
        """The await address: a credential for this one run."""
        return self._of_run(run_id, "/result", token=token)

    def _of_run(self, run_id: RunId, rest: str = "", **query: str) -> str:
        if self.workspace is not None:
            query["workspace"] = self.workspace
        return f"{self.routes_url}/runs/{run_id}{rest}{'?' if query else ''}{urlencode(query)}"

    def waiting_headers(self, run_id: RunId, token: str) -> Mapping[str, str]:
        """The headers of a 202. Data Factory and Logic Apps poll Location; Azure's clients poll Operation-Location."""
        return {
            "Location": self.result_url(run_id, token),
            "Operation-Location": self.status_url(run_id),
            "Retry-After": str(POLL_AFTER_SECONDS),
        }


def monitor_url(workspace_url: str, pipeline_id: str) -> str:
    """The pipeline's page, in the mission's form."""
    return f"{workspace_url}/#joblist/pipelines/{pipeline_id}"


def update_url(workspace_url: str, run_id: RunId) -> str:
    """The page of one update."""
    return f"{workspace_url}/pipelines/{run_id.pipeline_id}/updates/{run_id.update_id}"


def await_token(secret: bytes, run_id: RunId) -> str:
    """HMAC-SHA256 of the run id, in URL-safe base64 without padding: 43 characters."""
    digest = hmac.new(secret, str(run_id).encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def is_await_token(given: str, secret: bytes, run_id: RunId) -> bool:
    """Whether the token is that of the run. The comparison takes constant time."""
    return hmac.compare_digest(given.encode(), await_token(secret, run_id).encode())
