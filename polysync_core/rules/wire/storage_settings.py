"""Where Table Storage is, by POLYSYNC_TABLES or by the Functions host's own settings AzureWebJobsStorage. Pure.

The host reads those names without regard to case, so they are read so here. Source of the names:
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
"""Ways to name an identity that the host knows and Polysync does not."""
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
"""Takes the name of a setting and what is wrong with it."""


def is_storage_name(name: str) -> bool:
    """Whether `name` is one of the host's storage settings, in whatever case, or was meant to be one."""
    folded = name.lower()
    return folded in _NAMES or _is_misspelt(folded)


def read_tables(environ: Mapping[str, str], wrong: Wrong, *, needs_one: bool) -> TablesAddress | None:
    """The first of: POLYSYNC_TABLES, a connection string of the host, its table endpoint, its account's name.

    None when that is not usable; `wrong` is called for every fault. `needs_one`: that none is set is a fault.
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
    """The host's storage settings that are set, by their right names. Names that it does not read are faults."""
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
    """Whether the host does not read this name, and whoever set it meant it to.

    After the name `AzureWebJobsStorage` only two underscores make a property of it. Other names count when they are
    close to one: somebody may have a connection called AzureWebJobsStorageOfOrders.
    """
    if folded in _NAMES or not folded.startswith("azure"):
        return False
    rest = folded.removeprefix(STORAGE.lower())
    is_property = rest != folded and not rest[:1].isalnum()
    return is_property or bool(difflib.get_close_matches(folded, _NAMES, n=1, cutoff=_MISSPELT))


def _missing(own: Mapping[str, str]) -> str:
    """`own`: what is set of the host's settings, and does not say where the tables are."""
    if own:
        return (
            f"is missing, and {', '.join(own)} alone does not say where the tables are; set "
            f"{STORAGE}__tableServiceUri, like https://<account>.table.core.windows.net, or {STORAGE}__accountName"
        )
    return f"is missing; set a connection string or a table endpoint (or the {STORAGE} settings)"


def _client_id(own: Mapping[str, str], wrong: Wrong) -> str | None:
    """The user-assigned identity. Where the host is given it in another way, ours would be another one, silently."""
    client_id = own.get(f"{STORAGE}__clientId")
    other = next((name for name in own if name.removeprefix(f"{STORAGE}__") in _OTHER_IDENTITIES), None)
    if client_id is None and other is not None:
        wrong(other, f"is not read by Polysync; name a managed identity by {STORAGE}__clientId, or set {TABLES}")
    return client_id
