"""The sign-in of people with a page: authorize, token and logout, and the methods with which a test prepares them."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from local.entra import pages
from local.entra.authorize_endpoint import authorize, logout
from local.entra.claims import AUDIENCE, OTHER_TENANT, PAGE_CLIENT, TENANT
from local.entra.issuer import AUTHORIZE, SIGN_IN, TOKEN, Issuer
from local.entra.journal import SignInCall, record
from local.entra.people import person
from local.entra.refusals import unknown_client, unknown_tenant
from local.entra.registrations import Registrations
from local.entra.state import SignInState
from local.entra.token_endpoint import error_reply, token
from local.messages import Reply, Request


class SignInIssuer(Issuer):
    """An issuer where people sign in with a page. `redirects` are the addresses of the page that are registered.

    Safe to use from all threads.
    """

    def __init__(
        self,
        *,
        redirects: Sequence[str],
        tenant: str = TENANT,
        audience: str = AUDIENCE,
        now: Callable[[], float] = time.time,
        closing: threading.Event | None = None,
    ) -> None:
        super().__init__(tenant=tenant, audience=audience, now=now, closing=closing)
        self._redirects = tuple(redirects)
        self._state = SignInState(registrations=Registrations(redirects))
        self._calls: list[SignInCall] = []

    def register_redirect(self, url: str, client_id: str = PAGE_CLIENT) -> None:
        """Register an address, as a single-page app. Raises ValueError for one that Entra would not take."""
        with self._lock:
            self._state.registrations.register(url, client_id)

    def configure_sign_in(self, **changes: Any) -> None:
        """Set fields of state.SignInSettings for what is issued from now on. Raises TypeError for an unknown name."""
        with self._lock:
            self._state.settings = dataclasses.replace(self._state.settings, **changes)

    def sign_in_as(self, roles: Sequence[str] = (), *, object_id: str | None = None, name: str = "Ada Example") -> None:
        """Let everybody sign in as this person at once, without the page that asks. It ends with ask_who()."""
        with self._lock:
            self._state.signed_in = person(roles, name, object_id)

    def ask_who(self) -> None:
        """Ask on the sign-in page who one is."""
        with self._lock:
            self._state.signed_in = None

    def revoke_refresh_tokens(self, object_id: str | None = None) -> int:
        """Revoke the refresh tokens of one person, or of all, and return how many. Access tokens go on working."""
        return self._state.grants.revoke(object_id)

    def sign_in_calls(self, route: str | None = None) -> list[SignInCall]:
        """The calls of authorize, token and logout, or of one of them, in the order of their answers."""
        with self._lock:
            return [call for call in self._calls if route in (None, call.route)]

    def clear_sign_in(self) -> None:
        """Forget all that was registered, set, issued and called since the start."""
        with self._lock:
            self._state = SignInState(registrations=Registrations(self._redirects))
            self._calls = []

    def answer(self, request: Request) -> Reply:
        reply = super().answer(request)
        route, _ = self._match(request.path)
        if route in SIGN_IN:
            with self._lock:
                self._calls.append(record(route, request, reply))
        return reply

    def _answer_sign_in(self, route: str, tenant: str, request: Request) -> Reply:
        now, state, place = self._now(), self._state, self._place()
        if tenant != self.tenant:
            refusal = unknown_client(PAGE_CLIENT, tenant) if tenant == OTHER_TENANT else unknown_tenant(tenant)
            return error_reply(refusal, now, {}) if route == TOKEN else pages.page_of_refusal(refusal)
        if route == TOKEN:
            life = self._life(state.settings.access_token_seconds)
            return token(request, state, place, life, now, self._sign)
        return authorize(request, state, place, now) if route == AUTHORIZE else logout(request, state, place)
