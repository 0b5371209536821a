"""A single-page app that signs people in, with the requests that it and its browser send."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import jwt
import requests

from local.entra import PAGE_CLIENT, SimulatedEntra

REDIRECT = "http://127.0.0.1:7071/api/page"
ORIGIN = "http://127.0.0.1:7071"
VERIFIER = "a-verifier-has-from-43-to-128-of-A-Z-a-z-0-9-._~"
_LINK = re.compile(r'<a id="(\w+)" href="([^"]+)"')


def challenge_of(verifier: str) -> str:
    """RFC 7636, section 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


class Page:
    """One browser with the page. A parameter may be changed, or left out with None."""

    def __init__(self, entra: SimulatedEntra, *, redirect: str = REDIRECT, client_id: str = PAGE_CLIENT) -> None:
        self._entra = entra
        self._redirect, self._client_id = redirect, client_id
        self.browser = requests.Session()

    @property
    def scope(self) -> str:
        return f"openid profile offline_access api://{self._entra.audience}/access"

    def url(self, route: str, tenant: str | None = None) -> str:
        return f"{self._entra.url}/{tenant or self._entra.tenant}/oauth2/v2.0/{route}"

    def ask(self, **changes: str | None) -> requests.Response:
        """Visit authorize, and follow no redirect."""
        asked = {
            "client_id": self._client_id,
            "response_type": "code",
            "redirect_uri": self._redirect,
            "response_mode": "fragment",
            "scope": self.scope,
            "state": "state-1 &?#",
            "nonce": "nonce-1",
            "code_challenge": challenge_of(VERIFIER),
            "code_challenge_method": "S256",
        }
        return self._visit(f"{self.url('authorize')}?{urlencode(_changed(asked, changes))}")

    def pick(self, answer: requests.Response, person: str) -> requests.Response:
        """Click on a person of the sign-in page."""
        links = dict(_LINK.findall(answer.text))
        return self._visit(urljoin(answer.url, unescape(links[person])))

    def code(self, person: str = "operator", **changes: str | None) -> str:
        """Sign in as somebody, also where somebody is signed in already."""
        return returned(self.pick(self.ask(**{"prompt": "login", **changes}), person))["code"]

    def redeem(self, code: str, /, *, origin: str | None = ORIGIN, **changes: str | None) -> requests.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect}
        return self._call_token({**form, "code_verifier": VERIFIER}, origin, changes)

    def refresh(self, token: str, /, *, origin: str | None = ORIGIN, **changes: str | None) -> requests.Response:
        return self._call_token({"grant_type": "refresh_token", "refresh_token": token}, origin, changes)

    def _call_token(
        self, form: Mapping[str, str], origin: str | None, changes: Mapping[str, str | None]
    ) -> requests.Response:
        headers = {} if origin is None else {"Origin": origin}
        body = _changed({"client_id": self._client_id, "scope": self.scope, **form}, changes)
        return requests.post(self.url("token"), data=body, headers=headers, timeout=10)

    def _visit(self, url: str) -> requests.Response:
        return self.browser.get(url, allow_redirects=False, timeout=10)


def returned(answer: requests.Response, mode: str = "fragment") -> dict[str, str]:
    """What a redirect tells the page, in the fragment or the query of its address."""
    assert answer.status_code == 302, answer.text
    parts = urlsplit(answer.headers["Location"])
    other = parts.query if mode == "fragment" else parts.fragment
    assert other == ""
    return dict(parse_qsl(parts.fragment or parts.query, strict_parsing=True))


def refusal_of(answer: requests.Response) -> tuple[str, int]:
    """The error of the token endpoint, and Entra's number of it."""
    told = answer.json()
    assert answer.status_code == 400
    assert told["error_description"].startswith(f"AADSTS{told['error_codes'][0]}: ")
    return told["error"], told["error_codes"][0]


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def _changed(values: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in {**values, **changes}.items() if value is not None}
