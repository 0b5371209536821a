"""The endpoints that a person's browser visits: authorize and logout.

Whoever was picked stays signed in with a cookie, as at Entra. So a page that sends a person here again gets them back
at once. After logout, or with prompt=login or prompt=select_account, they are asked again.
"""

from __future__ import annotations

import uuid
from http.cookies import CookieError, SimpleCookie

from local.entra import pages
from local.entra.authorize import SignInRequest, Values, decode_return_address, decode_sign_in, value_in
from local.entra.claims import Caller, Place
from local.entra.grants import Code, Grant
from local.entra.people import DENIED, PEOPLE
from local.entra.refusals import Refusal, error_parameters, wrong_method
from local.entra.state import SignInState
from local.messages import Reply, Request

_COOKIE = "SimulatedSession"


def authorize(request: Request, state: SignInState, place: Place, now: float) -> Reply:
    """Redirect to the page with a code or an error, or show a page: whom to be, or why there is no redirect."""
    values = request.values
    try:
        if request.method != "GET":
            raise wrong_method(request.method, "GET")
        address = decode_return_address(values, state.registrations, place.tenant)
    except Refusal as refusal:
        return pages.page_of_refusal(refusal)
    try:
        asked = decode_sign_in(values, place.audience, place.tenant)
        who = _who(request, asked, state)
        if who is None:
            return pages.page_to_pick(values, asked, address)
    except Refusal as refusal:
        return _redirect(address.with_answer(error_parameters(refusal, now)), refusal.headers)
    code = Code(
        grant=Grant(who=who, client_id=address.client_id, scopes=asked.scopes),
        redirect_uri=address.redirect_uri,
        challenge=asked.challenge,
        nonce=asked.nonce,
        ends=now + state.settings.code_seconds,
    )
    answer = {"code": state.grants.add_code(code), "session_state": str(uuid.uuid4())}
    return _redirect(address.with_answer(answer), _session_of(values, place))


def logout(request: Request, state: SignInState, place: Place) -> Reply:
    """End the session, and redirect to the page if its address is registered. As at Entra, no token is revoked."""
    headers = {"Set-Cookie": f"{_COOKIE}=; Path=/{place.tenant}/; Max-Age=0"}
    url = request.query_value("post_logout_redirect_uri")
    if url is None or not state.registrations.is_redirect_of_any(url):
        return pages.page_after_sign_out(headers)
    return _redirect(url, headers)


def _who(request: Request, asked: SignInRequest, state: SignInState) -> Caller | None:
    """Who signs in. None: ask. Raises Refusal when the person does not want to, or when nobody may be asked."""
    if state.signed_in is not None:
        return state.signed_in
    picked = value_in(request.values, pages.PERSON)
    if picked == DENIED:
        raise Refusal("access_denied", 65004, "User declined to consent to access the app.")
    if picked is not None and picked in PEOPLE:
        return PEOPLE[picked]
    known = PEOPLE.get(_session_in(request))
    is_meant = known is not None and asked.login_hint in (None, known.username)
    if is_meant and asked.prompt in (None, "none"):
        return known
    if asked.prompt == "none":
        raise Refusal("login_required", 50058, "A silent sign-in request was sent but no user is signed in.")
    return None


def _session_in(request: Request) -> str:
    try:
        cookies = SimpleCookie(request.headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[_COOKIE].value if _COOKIE in cookies else ""


def _session_of(values: Values, place: Place) -> dict[str, str]:
    picked = value_in(values, pages.PERSON)
    if picked not in PEOPLE:
        return {}
    return {"Set-Cookie": f"{_COOKIE}={picked}; Path=/{place.tenant}/; HttpOnly; SameSite=Lax"}


def _redirect(url: str, headers: dict[str, str]) -> Reply:
    return Reply(status=302, headers={"Location": url, "Cache-Control": "no-store", **headers})
