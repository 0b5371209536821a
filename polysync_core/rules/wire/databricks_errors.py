"""Decode error responses of Databricks: what a 404 is about, and what a refusal is about. Pure.

The HTTP status decides first, then the error_code. In some cases the text decides; the tables here hold those texts. An
unknown text is read with caution: nothing is removed, given up or repeated because of it. Source of the codes:
https://docs.databricks.com/api/azure/workspace/pipelines and the official SDK's error mapping.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from enum import Enum, auto

from polysync_core.rules.decisions.parameters import well_formed
from polysync_core.values.databricks_errors import (
    DatabricksError,
    DatabricksNetworkRefused,
    DatabricksSignInPage,
    PermissionRefused,
)
from polysync_core.values.run import JsonObject

NO_SUCH_ROUTE = "ENDPOINT_NOT_FOUND"
"""The error_code of a 404 that is about the route, not about the pipeline or update in its path."""
_NO_SUCH_THING = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND"})
_IS_MISSING = r"(?:(?:was |is )?not found|does not exist|doesn't exist|could not be found|no longer exists)\b"
_OTHER_THINGS = re.compile(
    r"\b(workspaces?|tenants?|subscriptions?|resource groups?|endpoints?|routes?|paths?|urls?|features?|apis?"
    r"|metastores?|catalogs?|schemas?|clusters?|deployments?|orgs?|organizations?|accounts?|hosts?|services?)\b",
    re.IGNORECASE,
)
_ANY_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_UNKNOWN_ROUTE = re.compile(r"bad target|no api found", re.IGNORECASE)
_ABOUT_TOKEN = re.compile(
    r"(?<![\w.-])token\b(?!\s*=)|\b(jwt|jsonwebtoken|tenant|issuer|audience|(iss|aud) claim|aadsts\d+)\b", re.IGNORECASE
)
_NOT_THAT_TOKEN = re.compile(
    r"\b(page|next|next page|continuation|idempotency|unexpected|unrecognized)[ _-]token", re.IGNORECASE
)
"""Tokens that are not access tokens: those of a listing, and those of a parser."""
_NETWORK = {
    re.compile(r"private[ _-]?link|private endpoint|public (network )?access", re.IGNORECASE): (
        "it is reached through a private link only"
    ),
    re.compile(r"\bip acl|ip access list|source ip|ip address\b.*\bblocked", re.IGNORECASE): (
        "its IP access list does not hold the address that the app comes from"
    ),
    re.compile(r"invalid access to org|unauthorized network access|network polic|ingress", re.IGNORECASE): (
        "its network rules do not let the app in"
    ),
}
"""The texts of refusals by the network rules, and the explanation of each."""
_SIGN_IN_ADDRESS = re.compile(r"/(login|log-in|signin|sign-in|sso|oidc|oauth2|saml)\b|login\.", re.IGNORECASE)
_SIGN_IN_PAGE = re.compile(
    rb"<title[^>]*>[^<]{0,200}?(sign[ -]?in|log[ -]?in|login)\b|login\.microsoftonline\.|/login\.html", re.IGNORECASE
)
_MAX_CODE, _MAX_SAID, _MAX_PAGE = 64, 1000, 20_000
_MAX_RETRY_AFTER_SECONDS, _MOST_DIGITS = 99_999, 6


class Refusal(Enum):
    """What a response refuses. A new token may help for TOKEN, and for PERMISSION if the token was the cause."""

    NETWORK = auto()  # the network that the app comes from
    TOKEN = auto()  # the app's token: no longer valid, of another tenant, for another audience
    PERMISSION = auto()  # the requested action


def refusal_of(status: int, headers: Mapping[str, str], body: bytes) -> Refusal | None:
    """Return what the response refuses, or None. Most refusals are a 401 or 403. A 400 and a redirect were seen too."""
    if not 300 <= status < 400 and status not in {400, 401, 403}:
        return None
    payload = json_object(body)
    says = _said(body, payload)
    if status != 400 and _network_trouble(headers, says) is not None:
        return Refusal.NETWORK
    is_token = payload is None or _ABOUT_TOKEN.search(_NOT_THAT_TOKEN.sub("", says))
    if status == 401 or (status in {400, 403} and is_token):
        return Refusal.TOKEN
    return Refusal.PERMISSION if status == 403 else None


def decode_error(status: int, headers: Mapping[str, str], body: bytes, named: Sequence[str]) -> DatabricksError:
    """Return the error of a response whose status is 300 or more. `named` are the ids in the request's path."""
    payload = json_object(body)
    raw_code = None if payload is None else payload.get("error_code")
    is_code = isinstance(raw_code, str | int) and not isinstance(raw_code, bool)
    error_code = str(raw_code)[:_MAX_CODE] if is_code else None
    says = _said(body, payload)
    refusal = refusal_of(status, headers, body)
    if refusal is Refusal.NETWORK:
        trouble = _network_trouble(headers, says)
        return DatabricksNetworkRefused(str(trouble), databricks_status=status, error_code=error_code, says=says)
    if refusal is not None:
        return PermissionRefused(
            says, databricks_status=status, error_code=error_code, refuses_token=refusal is Refusal.TOKEN
        )
    if is_sign_in(status, headers, body):
        return DatabricksSignInPage(databricks_status=status, says=says)
    is_route = payload is None or error_code == NO_SUCH_ROUTE or bool(_UNKNOWN_ROUTE.search(says))
    return DatabricksError(
        f"Databricks answered {status}{f' {error_code}' if error_code else ''}: {says or 'no reason given'}",
        databricks_status=status,
        error_code=error_code,
        says=says,
        does_not_exist=status == 404 and not is_route and _is_about(named, error_code, says),
        route_unknown=status == 404 and is_route,
        retry_after_seconds=_retry_after_seconds(headers),
    )


def is_sign_in(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether the response is a sign-in page or a redirect to one. It then does not come from a workspace's API."""
    if 300 <= status < 400:
        return bool(_SIGN_IN_ADDRESS.search(headers.get("Location", "")))
    page = body[:_MAX_PAGE].lstrip(b"\xef\xbb\xbf \t\r\n")
    return status < 300 and page.startswith(b"<") and bool(_SIGN_IN_PAGE.search(page))


def json_object(body: bytes) -> JsonObject | None:
    """Read a JSON object in UTF-8. Returns None for any other body. Halves of surrogate pairs are replaced.

    An escape such as \\ud800 can make such a half. No log, row or address accepts it.
    """
    try:
        payload = json.loads(body.decode("utf-8-sig"))
        if b"\\ud" in body.lower():
            payload = json.loads(well_formed(json.dumps(payload, ensure_ascii=False)))
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None


def _is_about(named: Sequence[str], error_code: str | None, says: str) -> bool:
    """Whether a 404 means that the requested pipeline or update does not exist, and not another thing.

    With the error_code of a missing resource, the text may omit the id, but it may not name another thing. With any
    other code, only the known text with the id counts.
    """
    ids = "|".join(re.escape(name) for name in named) or "(?!)"
    known = rf"(?:the )?(?:specified )?(?:pipeline|update)\W+(?:{ids})\W+{_IS_MISSING}"
    is_known = re.match(known, says, re.IGNORECASE)
    if is_known or error_code not in _NO_SUCH_THING:
        return bool(is_known)
    is_named = re.search(rf"(?<![\w-])(?:{ids})(?![\w-])", says, re.IGNORECASE)
    return not _OTHER_THINGS.search(says) and (bool(is_named) or not _ANY_UUID.search(says))


def _network_trouble(headers: Mapping[str, str], says: str) -> str | None:
    text = f"{headers.get('Location', '')} {says}"
    return next((trouble for pattern, trouble in _NETWORK.items() if pattern.search(text)), None)


def _said(body: bytes, payload: JsonObject | None) -> str:
    """Return the message of Databricks in one bounded line. Of an HTML page, only the text is used."""
    if payload is not None:
        texts = [payload.get(name) for name in ("message", "error")]
        text = next((text for text in texts if isinstance(text, str)), "")
    else:
        text = re.sub(r"<[^>]*>", " ", body[:4000].decode("utf-8", "replace"))
    return " ".join(text.split())[:_MAX_SAID]


def _retry_after_seconds(headers: Mapping[str, str]) -> int | None:
    """Return the Retry-After header in whole seconds, or None. A date is counted from the Date header.

    Both forms: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
    """
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdecimal():
        if len(value) > _MOST_DIGITS:  # int() raises ValueError for thousands of them
            return None
        seconds = int(value)
    else:
        try:
            wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date", ""))
        except (TypeError, ValueError, OverflowError):
            return None
        seconds = max(0, math.ceil(wait.total_seconds()))
    return seconds if seconds <= _MAX_RETRY_AFTER_SECONDS else None
