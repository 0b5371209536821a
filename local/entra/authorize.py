"""A call of the authorize endpoint: decoded, and answered with an address of the page. Pure.

Source: Microsoft, "Microsoft identity platform and OAuth 2.0 authorization code flow". This endpoint is stricter than
the real one: it knows no scope but those of the page, no `plain` challenge, and no response_mode `form_post`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from local.entra.claims import SCOPE
from local.entra.refusals import Refusal, missing, unknown_client
from local.entra.registrations import Registrations

OIDC_SCOPES = frozenset({"openid", "profile", "email", "offline_access"})
_CHALLENGE_LENGTH = 43
_PROMPTS = frozenset({"login", "none", "consent", "select_account"})
_MODES = frozenset({"query", "fragment"})

Values = Mapping[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class ReturnAddress:
    """Where the person is sent back to. The answer is in the query of the address, unless `mode` is fragment."""

    client_id: str
    redirect_uri: str
    mode: str
    state: str | None

    def with_answer(self, answer: Mapping[str, str]) -> str:
        """The address to redirect to."""
        own = {} if self.state is None else {"state": self.state}
        return f"{self.redirect_uri}{'#' if self.mode == 'fragment' else '?'}{urlencode({**answer, **own})}"


@dataclass(frozen=True, kw_only=True)
class SignInRequest:
    """What the page asks for. `challenge` is the SHA-256 of its verifier in base64url."""

    scopes: tuple[str, ...]
    challenge: str
    nonce: str | None
    prompt: str | None
    login_hint: str | None


def value_in(values: Values, name: str) -> str | None:
    """The value of a parameter. None if it is not there or empty. Raises Refusal if it is there twice."""
    found = values.get(name, [])
    if len(found) > 1:
        raise Refusal(
            "invalid_request", 9000411, f"The request is not properly formatted. The parameter '{name}' is duplicated."
        )
    return found[0] or None if found else None


def required(values: Values, name: str) -> str:
    value = value_in(values, name)
    if value is None:
        raise missing(name)
    return value


def decode_return_address(values: Values, registrations: Registrations, tenant: str) -> ReturnAddress:
    """The page's address, if the client has registered it. Entra shows this Refusal on a page, and never redirects."""
    client_id = required(values, "client_id")
    if not registrations.knows(client_id):
        raise unknown_client(client_id, tenant)
    redirect_uri = required(values, "redirect_uri")
    if not registrations.has_redirect(redirect_uri, client_id):
        raise Refusal(
            "invalid_request",
            50011,
            f"The redirect URI '{redirect_uri}' specified in the request does not match the redirect URIs configured"
            f" for the application '{client_id}'.",
        )
    return ReturnAddress(
        client_id=client_id,
        redirect_uri=redirect_uri,
        mode=value_in(values, "response_mode") or "query",
        state=value_in(values, "state"),
    )


def decode_sign_in(values: Values, audience: str, tenant: str) -> SignInRequest:
    """What the page asks for. The page gets this Refusal at its address."""
    kind = required(values, "response_type")
    if kind != "code":
        raise Refusal(
            "unsupported_response_type", 700054, f"response_type '{kind}' is not enabled for the application."
        )
    mode = value_in(values, "response_mode")
    if mode is not None and mode not in _MODES:
        raise Refusal("invalid_request", 70007, f"'{mode}' is not a supported value of 'response_mode'.")
    prompt = value_in(values, "prompt")
    if prompt is not None and prompt not in _PROMPTS:
        raise Refusal("invalid_request", 90023, "Unsupported 'prompt' value.")
    return SignInRequest(
        scopes=decode_scopes(required(values, "scope"), audience, tenant),
        challenge=_decode_challenge(values),
        nonce=value_in(values, "nonce"),
        prompt=prompt,
        login_hint=value_in(values, "login_hint"),
    )


def api_scope(audience: str) -> str:
    """The scope with which the page asks for a token of the app."""
    return f"api://{audience}/{SCOPE}"


def decode_scopes(given: str, audience: str, tenant: str) -> tuple[str, ...]:
    """The scopes, among them the app's. Raises Refusal for an unknown one, and when the app's is missing."""
    scopes = tuple(dict.fromkeys(given.split()))
    for scope in scopes:
        resource, _, name = scope.rpartition("/")
        if scope in OIDC_SCOPES or scope == api_scope(audience):
            continue
        if resource and resource != f"api://{audience}":
            raise Refusal(
                "invalid_resource",
                500011,
                f"The resource principal named {resource} was not found in the tenant named {tenant}.",
            )
        raise Refusal(
            "invalid_client",
            650053,
            f"The application asked for scope '{name}' that doesn't exist on the resource"
            f" '{resource or 'https://graph.microsoft.com'}'.",
        )
    if api_scope(audience) not in scopes:
        raise Refusal(
            "invalid_scope", 70011, f"The provided value for the input parameter 'scope' is not valid: {given}"
        )
    return scopes


def _decode_challenge(values: Values) -> str:
    challenge = value_in(values, "code_challenge")
    if challenge is None:
        raise Refusal(
            "invalid_request",
            9002325,
            "Proof Key for Code Exchange is required for cross-origin authorization code redemption.",
        )
    if value_in(values, "code_challenge_method") != "S256":
        raise Refusal("invalid_request", 50149, "Invalid Code_Challenge_method parameter.")
    if len(challenge) != _CHALLENGE_LENGTH:
        raise Refusal("invalid_request", 501491, "Invalid size of Code_Challenge parameter.")
    return challenge
