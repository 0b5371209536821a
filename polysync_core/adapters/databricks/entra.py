"""Entra ID tokens for Databricks, by azure-identity: the managed identity in Azure, the developer's login on a laptop.

The process has one credential. azure-identity keeps a token until it is near its end. If Databricks refuses a token
before, a new credential, whose cache is empty, replaces it once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from polysync_core.adapters.clock import Clock
from polysync_core.rules.decisions import budgets
from polysync_core.values.databricks_errors import TokenUnavailable
from polysync_core.values.deadline import Deadline

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential

DATABRICKS_SCOPE = "2ff814a6-3304-4ab8-85cb-cd0e6f879c1d/.default"
"""Azure Databricks' own application, https://learn.microsoft.com/azure/databricks/dev-tools/auth/"""
_MANAGEMENT = {
    "databricks.azure.us": "https://management.core.usgovcloudapi.net/.default",
    "databricks.azure.cn": "https://management.core.chinacloudapi.cn/.default",
}
_PUBLIC_MANAGEMENT = "https://management.core.windows.net/.default"
"""The address of Azure's management for each cloud, by the domain of its workspaces. Any other host is in the public
cloud."""
_BELIEVED_WHEN_FORBIDDEN_SECONDS, _BELIEVED_WHEN_EXPIRED_SECONDS = 60.0, 5.0
"""If a token that was renewed within this time is refused, the refusal must have another cause."""


_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 2.0
_RENEWED_BEFORE_END_SECONDS = 300.0
_AZ_WAS_SLOW = "Failed to invoke the Azure CLI"
"""azure-identity's message for an `az` that did not end in time."""


def _remedy(wrong: Exception) -> str:
    if _AZ_WAS_SLOW in str(wrong):
        return (
            f"The Azure CLI was slow: az gave no token within {budgets.TOKEN_AZ} seconds. Repeat the request; if it "
            "stays slow, look at `az account get-access-token`."
        )
    return (
        "Entra ID gave no token. In Azure: switch on the app's managed identity (and set AZURE_CLIENT_ID for a "
        "user-assigned one). On a laptop: az login."
    )


def management_scope(workspace_url: str) -> str:
    """The scope of a management token for a workspace. Each of Azure's clouds has its own."""
    host = urlsplit(workspace_url).hostname or ""
    return next((scope for zone, scope in _MANAGEMENT.items() if host.endswith(f".{zone}")), _PUBLIC_MANAGEMENT)


def build_credential(environ: Mapping[str, str], client_id: str | None = None) -> TokenCredential:
    """The credential for where the app runs; `client_id` names a user-assigned identity, else AZURE_CLIENT_ID does.

    Imported here: azure.identity takes a third of a cold start.
    """
    from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

    limits: dict[str, Any] = {
        "connection_timeout": budgets.TOKEN_CONNECT,
        "read_timeout": budgets.TOKEN_READ,
        "retry_total": 1,
    }
    if environ.get("IDENTITY_ENDPOINT"):
        return ManagedIdentityCredential(client_id=client_id or environ.get("AZURE_CLIENT_ID") or None, **limits)
    return DefaultAzureCredential(**limits, process_timeout=budgets.TOKEN_AZ)


class _Credential:
    """A credential that keeps its tokens, and fails with AzureError and nothing else, as its users expect it to.

    azure-identity keeps the tokens of a managed identity only: `az` would run for each call. One caller asks for a
    token, and others that come meanwhile wait for the same answer. azure-identity goes by the real clock, so the kept
    tokens do too. It lets a ValueError, TypeError or AttributeError through when it stumbles over an odd answer.
    """

    def __init__(self, built: TokenCredential) -> None:
        self._built = built
        self._lock = threading.Lock()
        self._asked: dict[tuple[str, ...], Future[AccessToken]] = {}

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        if any(options.values()):
            return self._ask(*scopes, **options)
        with self._lock:
            asked = self._asked.get(scopes)
            is_first = asked is None or _is_over(asked)
            if asked is None or is_first:
                asked = self._asked[scopes] = Future()
        if is_first:
            try:
                asked.set_result(self._ask(*scopes))
            except BaseException as wrong:
                asked.set_exception(wrong)
        return asked.result()

    def _ask(self, *scopes: str, **options: Any) -> AccessToken:
        from azure.core.exceptions import AzureError, ClientAuthenticationError

        try:
            return self._built.get_token(*scopes, **options)
        except AzureError:
            raise
        except Exception as wrong:
            raise ClientAuthenticationError("The answer to the request for a token could not be read.") from wrong


def _is_over(asked: Future[AccessToken]) -> bool:
    """Whether the kept answer is of no use any more: it is a failure, or a token near its end."""
    if not asked.done():
        return False
    return asked.exception() is not None or asked.result().expires_on - time.time() < _RENEWED_BEFORE_END_SECONDS


class EntraTokens:
    """Returns tokens. Safe to use from all threads."""

    def __init__(self, build: Callable[[], TokenCredential], clock: Clock) -> None:
        self._build: Callable[[], _Credential] = lambda: _Credential(build())
        self._clock = clock
        self._lock = threading.Lock()
        self._credential: _Credential | None = None
        self._refreshed_at: float | None = None

    @property
    def credential(self) -> TokenCredential:
        """The process's credential. Table Storage is opened with it too."""
        with self._lock:
            if self._credential is None:
                self._credential = self._build()
            return self._credential

    def token(self, scope: str = DATABRICKS_SCOPE, until: Deadline | None = None) -> str:
        """A token for `scope`. Raises TokenUnavailable with the remedy when Entra ID issues none.

        An identity endpoint that gives no answer, as at a cold start, is asked again with pauses as long as `until`
        lasts. azure-identity hides the status of its answers, so any of them counts as one that may pass.
        """
        from azure.core.exceptions import AzureError, ServiceRequestError, ServiceResponseError
        from azure.identity import CredentialUnavailableError

        pause = _FIRST_PAUSE_SECONDS
        while True:
            credential = self.credential
            try:
                return credential.get_token(scope).token
            except AzureError as wrong:
                self._forget(credential)
                may_pass = isinstance(wrong, CredentialUnavailableError | ServiceRequestError | ServiceResponseError)
                if not may_pass or until is None or until.seconds_left() <= pause:
                    raise TokenUnavailable(_remedy(wrong), retry_after_seconds=30) from wrong
            self._clock.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _forget(self, failed: TokenCredential) -> None:
        """Build a new credential for the next request. The present one keeps an error for seconds."""
        with self._lock:
            if self._credential is failed:
                self._credential = None

    def renewed(self, refused: str, *, expired: bool, worked_before: bool, until: Deadline | None = None) -> str | None:
        """A new token in place of `refused`, or None when a new one would be no better.

        `expired`: the refusal was of the token, not of a permission. `worked_before`: the workspace accepted it before.
        A token that was itself renewed in the last minute is not renewed again: then the permission is at fault. If the
        refusal calls the token expired, that holds for the last seconds only. Without this rule, each forbidden
        pipeline would cost a token. A token that is refused after it had worked has been revoked.
        """
        with self._lock:
            current = self._credential
            now = self._clock.monotonic()
            believed = _BELIEVED_WHEN_EXPIRED_SECONDS if expired else _BELIEVED_WHEN_FORBIDDEN_SECONDS
            believed = 0.0 if expired and worked_before else believed
            recent = self._refreshed_at is not None and now - self._refreshed_at < believed
        token = self.token(until=until)
        if token != refused:
            return token
        if recent:
            return None
        with self._lock:
            if self._credential is current:
                self._credential = self._build()
                self._refreshed_at = now
        return self.token(until=until)
