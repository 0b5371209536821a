"""Read where Table Storage is, from POLYSYNC_TABLES or the Functions host's settings AzureWebJobsStorage. Pure.

The host ignores the case of its setting names, so this module does too. Source of the names:
https://learn.microsoft.com/azure/azure-functions/functions-reference#common-properties-for-identity-based-connections
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping

from polysync_core.rules.wire.setting_values import parse_address, parse_connection_string
from polysync_core.values.workspace import TablesAddress

TABLES = "POLYSYNC_TABLES"
STORAGE = "AzureWebJobsStorage"
_OTHER_IDENTITIES = (
    "managedIdentityClientId",
    "managedIdentityResourceId",
    "managedIdentityObjectId",
    "clientSecret",
    "clientCertificate",
)
"""Settings that name an identity. The host reads them, but Polysync does not."""
_PROPERTIES = (
    "accountName",
    "tableServiceUri",
    "blobServiceUri",
    "queueServiceUri",
    "fileServiceUri",
    "serviceUri",
    "credential",
    "clientId",
    "tenantId",
    "azureCloud",
    *_OTHER_IDENTITIES,
)
_NAMES = {name.lower(): name for name in (STORAGE, *(f"{STORAGE}__{name}" for name in _PROPERTIES))}
_MISSPELT = 0.9
Wrong = Callable[[str, str], None]
"""A function that takes the name of a setting and what is wrong with it."""


def is_storage_name(name: str) -> bool:
    """Whether `name` is one of the host's storage settings, or a misspelt one. The case does not matter."""
    folded = name.lower()
    return folded in _NAMES or _is_misspelt(folded)


def read_tables(environ: Mapping[str, str], wrong: Wrong, *, needs_one: bool) -> TablesAddress | None:
    """Return the address from the first setting that is set. Returns None when that setting is not usable.

    The order is POLYSYNC_TABLES, then the host's connection string, its table endpoint and its account name. `wrong` is
    called for every fault. If `needs_one` is true, it is a fault that no setting is set.
    """
    own = _hosts_own(environ, wrong)
    account = own.get(f"{STORAGE}__accountName", "")
    candidates = {
        TABLES: environ.get(TABLES, "").strip(),
        STORAGE: own.get(STORAGE, ""),
        f"{STORAGE}__tableServiceUri": own.get(f"{STORAGE}__tableServiceUri", ""),
        f"{STORAGE}__accountName": f"https://{account}.table.core.windows.net" if account else "",
    }
    name, given = next(((name, given) for name, given in candidates.items() if given), (TABLES, ""))
    if not given:
        if needs_one:
            wrong(TABLES, _missing(own))
        return None
    try:
        if "=" in given.split("?")[0]:
            return TablesAddress(connection_string=parse_connection_string(given))
        endpoint = parse_address(given, with_path=True)
    except ValueError as malformed:
        wrong(name, str(malformed))
        return None
    return TablesAddress(endpoint=endpoint, client_id=None if name == TABLES else _client_id(own, wrong))


def _hosts_own(environ: Mapping[str, str], wrong: Wrong) -> Mapping[str, str]:
    """Return the host's storage settings that are set, by their exact names. A misspelt name is a fault."""
    own: dict[str, str] = {}
    for name, value in sorted(environ.items()):
        folded, given = name.lower(), value.strip()
        if not given:
            continue
        if folded in _NAMES:
            if own.setdefault(_NAMES[folded], given) != given:
                wrong(name, f"is set twice, in different case, to different values; keep {_NAMES[folded]}")
        elif _is_misspelt(folded):
            near = difflib.get_close_matches(folded, _NAMES, n=1)
            meant = _NAMES[near[0]] if near else f"{STORAGE}__tableServiceUri or {STORAGE}__accountName"
            wrong(name, f"is not a name that the Functions host reads; did you mean {meant}")
    return own


def _is_misspelt(folded: str) -> bool:
    """Whether the host does not read this name, but the user seems to have meant one that it reads.

    The name is misspelt if `AzureWebJobsStorage` is followed by anything but a letter or digit. Any other name is
    misspelt only if it is close to a known one. A user may have a connection called AzureWebJobsStorageOfOrders.
    """
    if folded in _NAMES or not folded.startswith("azure"):
        return False
    rest = folded.removeprefix(STORAGE.lower())
    is_property = rest != folded and not rest[:1].isalnum()
    return is_property or bool(difflib.get_close_matches(folded, _NAMES, n=1, cutoff=_MISSPELT))


def _missing(own: Mapping[str, str]) -> str:
    """Return what is missing. `own` are the host's settings that are set. They do not say where the tables are."""
    if own:
        return (
            f"is missing, and {', '.join(own)} alone does not say where the tables are; set "
            f"{STORAGE}__tableServiceUri, like https://<account>.table.core.windows.net, or {STORAGE}__accountName"
        )
    return f"is missing; set a connection string or a table endpoint (or the {STORAGE} settings)"


def _client_id(own: Mapping[str, str], wrong: Wrong) -> str | None:
    """Return the user-assigned identity, or None. An identity setting that only the host reads is a fault.

    Otherwise Polysync would use another identity than the host, without a warning.
    """
    client_id = own.get(f"{STORAGE}__clientId")
    other = next((name for name in own if name.removeprefix(f"{STORAGE}__") in _OTHER_IDENTITIES), None)
    if client_id is None and other is not None:
        wrong(other, f"is not read by Polysync; name a managed identity by {STORAGE}__clientId, or set {TABLES}")
    return client_id
