"""Entra ID tokens from azure-identity: of the managed identity in Azure, of the developer's login on a laptop.

A credential keeps its tokens until they are about to expire. If Databricks refuses a kept token, a new credential with
an empty cache replaces the old one.
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
"""The application of Azure Databricks, https://learn.microsoft.com/azure/databricks/dev-tools/auth/"""
_MANAGEMENT = {
    "databricks.azure.us": "https://management.core.usgovcloudapi.net/.default",
    "databricks.azure.cn": "https://management.core.chinacloudapi.cn/.default",
}
_PUBLIC_MANAGEMENT = "https://management.core.windows.net/.default"
"""Azure's management API, by the domain of a cloud's workspaces. Any other host is in the public cloud."""
_BELIEVED_WHEN_FORBIDDEN_SECONDS, _BELIEVED_WHEN_EXPIRED_SECONDS = 60.0, 5.0
"""A token that was renewed within this time counts as valid, so a refusal of it has another cause."""


_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.5, 2.0
_RENEWED_BEFORE_END_SECONDS = 300.0
_AZ_WAS_SLOW = "Failed to invoke the Azure CLI"
"""azure-identity's message for an `az` that did not end in time. Other failures of `az` have other messages."""


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
    """The scope of a management token for a workspace. Each of Azure's clouds has its own management API."""
    host = urlsplit(workspace_url).hostname or ""
    return next((scope for zone, scope in _MANAGEMENT.items() if host.endswith(f".{zone}")), _PUBLIC_MANAGEMENT)


def build_credential(environ: Mapping[str, str], client_id: str | None = None) -> TokenCredential:
    """Build the credential for the place where the app runs.

    In Azure, `client_id` names a user-assigned identity; without it, AZURE_CLIENT_ID names one. azure.identity is
    imported here, because its import takes a third of a cold start.
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
    """A credential that keeps its tokens and raises only AzureError, as its users expect.

    azure-identity keeps only the tokens of a managed identity, so `az` would run for each call. One caller requests a
    token. Others that arrive meanwhile wait for the same response. The expiry of kept tokens is checked against the
    real clock, which azure-identity uses too. For an unexpected response, azure-identity may raise ValueError,
    TypeError or AttributeError.
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
    """Whether the request has ended without use: it failed, or its token is about to expire."""
    if not asked.done():
        return False
    return asked.exception() is not None or asked.result().expires_on - time.time() < _RENEWED_BEFORE_END_SECONDS


class EntraTokens:
    """Provides tokens. Safe to use from all threads."""

    def __init__(self, build: Callable[[], TokenCredential], clock: Clock) -> None:
        self._build: Callable[[], _Credential] = lambda: _Credential(build())
        self._clock = clock
        self._lock = threading.Lock()
        self._credential: _Credential | None = None
        self._refreshed_at: float | None = None

    @property
    def credential(self) -> TokenCredential:
        """The process's credential. Table Storage uses it too."""
        with self._lock:
            if self._credential is None:
                self._credential = self._build()
            return self._credential

    def token(self, scope: str = DATABRICKS_SCOPE, until: Deadline | None = None) -> str:
        """A token for `scope`. Raises TokenUnavailable with the remedy when Entra ID issues none.

        An identity endpoint may not answer, for example at a cold start. The request is then repeated with pauses until
        the deadline `until`; without `until`, it is not repeated. azure-identity hides the status of the endpoint's
        answers, so each of them counts as temporary.
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
        """Discard the failed credential, so that the next request builds a new one.

        A failed credential keeps its error for seconds and would not ask again.
        """
        with self._lock:
            if self._credential is failed:
                self._credential = None

    def renewed(self, refused: str, *, expired: bool, worked_before: bool, until: Deadline | None = None) -> str | None:
        """A new token in place of `refused`, or None when a new one would not help. Raises TokenUnavailable.

        `expired` says that the workspace refused the token itself, not a permission. `worked_before` says that the
        workspace accepted this token before. A token that was renewed in the last 60 s (5 s if `expired`) counts as
        valid, so a permission is missing. Otherwise each forbidden pipeline would cost a new token, and so would each
        call of a sweep by an unknown principal. A token that worked before and now counts as expired was revoked, so it
        is always renewed.
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
