"""The issuer without its server: tokens, rotation, the two documents of Entra ID, faults, and the count of fetches."""

from __future__ import annotations

import re
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from local.entra import documents
from local.entra.claims import AUDIENCE, OTHER_TENANT, SECONDS, TENANT, Life, Place, access_claims, caller
from local.entra.keys import KeyRing
from local.entra.refusals import error_document, unknown_tenant
from local.entra.signing import sign_rs256
from local.entra.wrong import make_wrong
from local.fault import Fault, FaultPlan, Kind
from local.messages import RESET, Reply, Request, json_reply

METADATA, KEYS = "metadata", "keys"
DOCUMENTS = (METADATA, KEYS)
AUTHORIZE, TOKEN, LOGOUT = "authorize", "token", "logout"
SIGN_IN = (AUTHORIZE, TOKEN, LOGOUT)
ROUTES = (*DOCUMENTS, *SIGN_IN)
_TENANT_IN_PATH = re.compile(r"/([^/]+)/.+")


class Issuer(ABC):
    """A tenant of Entra ID. `url` is its authority, without a slash at its end. `now` returns epoch seconds.

    Safe to use from all threads.
    """

    def __init__(
        self,
        *,
        tenant: str = TENANT,
        audience: str = AUDIENCE,
        now: Callable[[], float] = time.time,
        closing: threading.Event | None = None,
    ) -> None:
        self.tenant, self.audience = tenant, audience
        self.keys = KeyRing()
        self._now = now
        self._closing = closing or threading.Event()
        self._lock = threading.Lock()
        self._faults = FaultPlan(keep=0)
        self._fetches: Counter[str] = Counter()
        self._is_down = False

    @property
    @abstractmethod
    def url(self) -> str:
        """The address of the server that answers with this issuer."""

    def issue(
        self,
        roles: Sequence[str] = (),
        *,
        kind: str = "app",
        object_id: str | None = None,
        client_id: str | None = None,
        seconds: float = SECONDS,
        claims: Mapping[str, object] | None = None,
        without: Sequence[str] = (),
    ) -> str:
        """Return a v2 access token for a caller, as a text. Roles are whole names: Polysync.Operate.finance.

        kind: "app" (idtyp is app, and sub is the object id), or "user" (scp is access).
        object_id, client_id: by default the same roles get the same ids.
        seconds: how long the token is valid.
        claims: replace claims or add some, also wrong ones. `without` names claims that are left out.
        """
        who = caller(kind, roles, object_id, client_id)
        made = access_claims(who, self._place(), self._life(seconds)) | dict(claims or {})
        return self._sign({name: value for name, value in made.items() if name not in without})

    def wrong_token(
        self, name: str, *, roles: Sequence[str] = ("Polysync.Admin",), object_id: str | None = None
    ) -> str:
        """Return one of wrong.WRONG_TOKENS. Raises ValueError for another name."""
        with self._lock:
            return make_wrong(name, caller("app", roles, object_id), self._place(), self._life(SECONDS), self.keys)

    def rotate(self) -> str:
        """Sign with a new key from now on, and return its kid. The old key stays published until forget_old()."""
        with self._lock:
            self.keys.rotate()
            return self.keys.signing.kid

    def forget_old(self) -> list[str]:
        """Stop publishing the keys that signed before the last rotate(), and return their kids."""
        with self._lock:
            return [key.kid for key in self.keys.forget_old()]

    def fetches(self) -> dict[str, int]:
        """How often each of DOCUMENTS was asked for, also while it was down, since the last clear_fetches()."""
        with self._lock:
            return {route: self._fetches[route] for route in DOCUMENTS}

    def clear_fetches(self) -> None:
        with self._lock:
            self._fetches.clear()

    def add_fault(self, kind: Kind, *, route: str | None = None, **details: Any) -> None:
        """Add a fault (fault.Fault) for a route of ROUTES, or for all. `{"kind": "delay", "times": null}` is slow."""
        if route is not None and route not in ROUTES:
            raise ValueError(f"route is one of {', '.join(ROUTES)}, not {route!r}")
        self._faults.add(Fault(kind, upstream=route, **details))

    def clear_faults(self) -> None:
        self._faults.clear()

    def down(self) -> None:
        """Reset the connection of every call until up(). The control routes still answer."""
        self._is_down = True

    def up(self) -> None:
        self._is_down = False

    def answer(self, request: Request) -> Reply:
        """Answer a call of one of Entra's routes, with the fault that it meets."""
        route, tenant = self._match(request.path)
        if route is None:
            return json_reply({"error": "not_found"}, status=404)
        with self._lock:
            self._fetches[route] += 1
        if self._is_down:
            return RESET
        fault = self._faults.meet(route, request.method)
        if fault is None:
            return self._reply_to(route, tenant, request)
        fault.wait_before(self._closing)
        reply = fault.reply(self._reply_to(route, tenant, request) if fault.executes else None)
        fault.wait_after(request, self._closing)
        return reply

    def _match(self, path: str) -> tuple[str | None, str]:
        """The route and the tenant of a path. The route is None when Entra has no such path."""
        found = _TENANT_IN_PATH.fullmatch(path)
        tenant = found[1] if found else ""
        paths = {documents.metadata_path(tenant): METADATA, documents.keys_path(tenant): KEYS}
        paths |= {documents.sign_in_path(tenant, route): route for route in SIGN_IN}
        return paths.get(path), tenant

    @abstractmethod
    def _answer_sign_in(self, route: str, tenant: str, request: Request) -> Reply:
        """Answer a call of one of SIGN_IN, without faults."""

    def _reply_to(self, route: str, tenant: str, request: Request) -> Reply:
        return self._document(route, tenant) if route in DOCUMENTS else self._answer_sign_in(route, tenant, request)

    def _document(self, route: str, tenant: str) -> Reply:
        if tenant not in (self.tenant, OTHER_TENANT):
            return json_reply(error_document(unknown_tenant(tenant), self._now()), status=400)
        if route == METADATA:
            return _for_every_page(documents.metadata(self.url, tenant))
        with self._lock:
            published = self.keys.published
        return _for_every_page(documents.key_set(published, self.url, tenant))

    def _sign(self, claims: Mapping[str, object]) -> str:
        with self._lock:
            return sign_rs256(claims, self.keys.signing)

    def _place(self) -> Place:
        return Place(url=self.url, tenant=self.tenant, audience=self.audience)

    def _life(self, seconds: float) -> Life:
        begins = int(self._now())
        return Life(begins=begins, ends=begins + int(seconds), token_id=secrets.token_urlsafe(16))


def _for_every_page(document: object) -> Reply:
    """A page of any origin may read the document."""
    return replace(json_reply(document), headers={"Access-Control-Allow-Origin": "*"})
