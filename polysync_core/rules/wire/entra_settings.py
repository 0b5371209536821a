"""Read the settings of the sign-in with Entra ID. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from polysync_core.rules.wire.setting_values import parse_address
from polysync_core.values.caller import EntraDoor

CALLERS = "POLYSYNC_CALLERS"
TENANT, AUDIENCE = "POLYSYNC_ENTRA_TENANT", "POLYSYNC_ENTRA_AUDIENCE"
AUTHORITY, DENIED = "POLYSYNC_ENTRA_AUTHORITY", "POLYSYNC_ENTRA_DENIED"
PAGE_CLIENT = "POLYSYNC_ENTRA_PAGE_CLIENT"
ENTRA_NAMES = frozenset({CALLERS, TENANT, AUDIENCE, AUTHORITY, DENIED, PAGE_CLIENT})
KEYS, ENTRA = "keys", "entra"
DEFAULT_AUTHORITY = "https://login.microsoftonline.com"
_GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
Wrong = Callable[[str, str], None]
"""A function that takes the name of a setting and what is wrong with it."""


def sign_in(environ: Mapping[str, str]) -> bool:
    """Whether callers sign in. Any value but exactly `entra` leaves the routes behind function keys."""
    return environ.get(CALLERS) == ENTRA


def read_door(environ: Mapping[str, str], wrong: Wrong) -> EntraDoor | None:
    """Return whom the app lets in by a token. None in `keys` mode, and when a setting is wrong.

    `wrong` is called for every fault.
    """
    mode = environ.get(CALLERS, "")
    if mode.strip() and mode not in {KEYS, ENTRA}:
        wrong(CALLERS, f"must be exactly {KEYS} or {ENTRA}")
    if mode != ENTRA:
        return None
    faults: list[tuple[str, str]] = []
    tenant = _guid(environ, TENANT, "the id of your tenant", faults)
    audience = _guid(
        environ, AUDIENCE, "the client id of the app's registration (infra/entra/register prints it)", faults
    )
    denied = [part.strip().lower() for part in environ.get(DENIED, "").split(",") if part.strip()]
    if not all(map(_GUID.fullmatch, denied)):
        faults.append((DENIED, "must be object ids (UUIDs), separated by commas"))
    authority = DEFAULT_AUTHORITY
    if given := environ.get(AUTHORITY, "").strip():
        try:
            authority = parse_address(given)
        except ValueError as malformed:
            faults.append((AUTHORITY, str(malformed)))
    page_client = None
    if environ.get(PAGE_CLIENT, "").strip():
        page_client = _guid(environ, PAGE_CLIENT, "the client id of the page's registration", faults)
        if page_client == audience:  # the audience of the page's ID tokens would be the app's own
            faults.append((PAGE_CLIENT, f"must be another registration than {AUDIENCE}"))
    for name, problem in faults:
        wrong(name, problem)
    if faults:
        return None
    return EntraDoor(
        tenant=tenant, audience=audience, authority=authority, denied=frozenset(denied), page_client=page_client
    )


def _guid(environ: Mapping[str, str], name: str, what: str, faults: list[tuple[str, str]]) -> str:
    given = environ.get(name, "").strip()
    if not _GUID.fullmatch(given):
        faults.append((name, f"{'must be' if given else 'is missing; set'} {what}, a UUID"))
    return given.lower()
