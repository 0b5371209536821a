"""The token endpoint, as a single-page app calls it: with a code and its verifier, or with a refresh token.

Source: Microsoft, "Microsoft identity platform and OAuth 2.0 authorization code flow". A token for a single-page app
is only given to a page of one of its redirect addresses: the call must have an Origin, and only these may read it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import parse_qs

from local.entra.authorize import Values, api_scope, decode_scopes, required, value_in
from local.entra.claims import Caller, Life, Place, access_claims, id_claims
from local.entra.grants import Grant, RefreshToken
from local.entra.refusals import Refusal, error_document, unknown_client, wrong_method
from local.entra.state import SignInState
from local.messages import Reply, Request, json_reply

Sign = Callable[[Mapping[str, object]], str]
_NEVER_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}


def token(request: Request, state: SignInState, place: Place, life: Life, now: float, sign: Sign) -> Reply:
    """Answer with the tokens, which are valid for `life`, or with 400 and an error. `sign` makes a token of claims."""
    readable = _readable_by(request.headers.get("origin"), state)
    if request.method == "OPTIONS":
        return Reply(status=204, headers={**readable, **_allowed(request, readable)})
    try:
        document = _tokens(request, state, place, life, now, sign)
    except Refusal as refusal:
        return error_reply(refusal, now, readable)
    return replace(json_reply(document), headers={**_NEVER_STORED, **readable})


def error_reply(refusal: Refusal, now: float, headers: Mapping[str, str]) -> Reply:
    reply = json_reply(error_document(refusal, now), status=400)
    return replace(reply, headers={**_NEVER_STORED, **headers, **refusal.headers})


def _tokens(
    request: Request, state: SignInState, place: Place, life: Life, now: float, sign: Sign
) -> dict[str, object]:
    if request.method != "POST":
        raise wrong_method(request.method, "POST, OPTIONS")
    values = parse_qs(request.body.decode(errors="replace"), keep_blank_values=True)
    kind = required(values, "grant_type")
    client_id = required(values, "client_id")
    if not state.registrations.knows(client_id):
        raise unknown_client(client_id, place.tenant)
    _check_origin(request.headers.get("origin"), client_id, state)
    if kind == "authorization_code":
        refresh_token, nonce = _used_code(values, client_id, state, now)
    elif kind == "refresh_token":
        text = required(values, "refresh_token")
        refresh_token, nonce = state.grants.use_refresh_token(text, client_id=client_id, now=now), None
    else:
        raise Refusal("unsupported_grant_type", 70003, f"The app requested an unsupported grant type '{kind}'.")
    scopes = _scopes(values, refresh_token.grant, place)
    access = sign(access_claims(_who(refresh_token.grant), place, life) | dict(state.settings.access_claims))
    document: dict[str, object] = {
        "token_type": "Bearer",
        "scope": api_scope(place.audience),
        "expires_in": life.ends - life.begins,
        "ext_expires_in": life.ends - life.begins,
        "access_token": access,
    }
    if "openid" in scopes:
        document["id_token"] = sign(_id_claims(refresh_token.grant, nonce, place, life))
    if "offline_access" in scopes:
        document["refresh_token"] = state.grants.add_refresh_token(refresh_token)
    return document


def _used_code(values: Values, client_id: str, state: SignInState, now: float) -> tuple[RefreshToken, str | None]:
    """What the code is good for: a refresh token that begins now, and the nonce of the ID token."""
    code = state.grants.use_code(
        required(values, "code"),
        client_id=client_id,
        redirect_uri=required(values, "redirect_uri"),
        verifier=value_in(values, "code_verifier"),
        now=now,
    )
    return RefreshToken(grant=code.grant, begins=now, ends=now + state.settings.refresh_token_seconds), code.nonce


def _scopes(values: Values, grant: Grant, place: Place) -> tuple[str, ...]:
    """The scopes that the call asks for. Without any, they are those of the sign-in."""
    given = value_in(values, "scope")
    if given is None:
        return grant.scopes
    scopes = decode_scopes(given, place.audience, place.tenant)
    if not set(scopes) <= set(grant.scopes):
        raise Refusal(
            "invalid_grant",
            70000,
            "The request was denied because one or more scopes requested are unauthorized or expired. The user must"
            " first sign in and grant the client application access to the requested scope.",
        )
    return scopes


def _who(grant: Grant) -> Caller:
    return replace(grant.who, client_id=grant.client_id)


def _id_claims(grant: Grant, nonce: str | None, place: Place, life: Life) -> dict[str, object]:
    """The page's own registration has no roles, and only the ID token of a sign-in has a nonce."""
    claims = id_claims(replace(_who(grant), roles=()), replace(place, audience=grant.client_id), life)
    del claims["nonce"]
    return claims if nonce is None else claims | {"nonce": nonce}


def _check_origin(origin: str | None, client_id: str, state: SignInState) -> None:
    if origin is None:
        raise Refusal(
            "invalid_request",
            9002327,
            "Tokens issued for the 'Single-Page Application' client-type may only be redeemed via cross-origin"
            " requests.",
        )
    if not state.registrations.has_origin(origin, client_id):
        raise Refusal(
            "invalid_request",
            9002326,
            "Cross-origin token redemption is permitted only for the 'Single-Page Application' client-type. Request"
            f" origin: '{origin}'.",
        )


def _readable_by(origin: str | None, state: SignInState) -> dict[str, str]:
    """The headers that let a page read the answer. A browser keeps it from all other pages."""
    is_known = origin is not None and state.registrations.has_origin(origin)
    return {"Vary": "Origin"} | ({"Access-Control-Allow-Origin": str(origin)} if is_known else {})


def _allowed(request: Request, readable: Mapping[str, str]) -> dict[str, str]:
    """The other headers of a preflight's answer."""
    if "Access-Control-Allow-Origin" not in readable:
        return {}
    asked = request.headers.get("access-control-request-headers", "")
    return {"Access-Control-Allow-Methods": "POST, OPTIONS", "Access-Control-Allow-Headers": asked}
