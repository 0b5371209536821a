"""What the sign-in of a page remembers between its calls, and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from local.entra.claims import SECONDS, Caller
from local.entra.grants import Grants
from local.entra.registrations import Registrations


@dataclass(frozen=True, kw_only=True)
class SignInSettings:
    """What is issued from now on. The lifetimes at the start are Entra's for a single-page app.

    access_claims: replace claims of access tokens, also with wrong ones. The page still hears the usual expires_in, so
    `{"exp": 1}` makes tokens that seem valid to the page, and that the app refuses. `{"roles": […]}` changes roles.
    """

    code_seconds: float = 600.0
    access_token_seconds: float = SECONDS
    refresh_token_seconds: float = 24 * 3600.0
    access_claims: Mapping[str, object] = field(default_factory=dict)


@dataclass(kw_only=True)
class SignInState:
    """`signed_in` is the person as whom everybody signs in at once. None: the sign-in page asks."""

    registrations: Registrations
    grants: Grants = field(default_factory=Grants)
    settings: SignInSettings = field(default_factory=SignInSettings)
    signed_in: Caller | None = None
