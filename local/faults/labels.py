"""Names for calls, without ids. A fault is aimed at a name, and a record of calls shows the names."""

from __future__ import annotations

import re
from itertools import groupby
from urllib.parse import parse_qs, unquote, urlsplit

from local.workspace.api import UNKNOWN_ROUTE, match_route

# These find the RowKey in an address, in a filter and in a body: 'active|…' or "active|…". The text before the
# | is the row's kind.
_KEY_IN_ADDRESS = re.compile(r"RowKey='([^|']*)")
_KEY_IN_FILTER = re.compile(r"RowKey gt '([^|']*)")
_KEY_IN_BODY = re.compile(rb'"RowKey": ?"([^|"]*)')
_KEY_IN_BATCH = re.compile(rb"RowKey(?:='|%3D%27|\": ?\")([^|'\"%]*)")


def plain_label(method: str, target: str, _body: bytes) -> str:
    """Method and path."""
    return f"{method} {urlsplit(target).path}"


def workspace_label(method: str, target: str, _body: bytes) -> str:
    """A call of the Pipelines API by its route, such as `GET /pipelines/{id}`. Other paths stay as they are."""
    path = urlsplit(target).path
    route = match_route(unquote(path))[0]
    return f"{method} {path if route == UNKNOWN_ROUTE else route}"


def storage_label(method: str, target: str, body: bytes) -> str:
    """A call of Table Storage by the kinds of its rows. The kind is the text before the first | of a RowKey.

    `GET PolysyncRuns(run)` is a read of one row and `GET PolysyncRuns(active…)` is a scan. `POST PolysyncRuns(run)` is
    an insert of one row. `POST $batch active run recent` is a batch in the order of its operations. Some operations
    name their key twice, in the address and in the body, so equal neighbours are merged.
    """
    parts = urlsplit(target)
    resource = unquote(parts.path).rsplit("/", 1)[-1]
    if resource == "$batch":
        kinds = [kind for kind, _ in groupby(_KEY_IN_BATCH.findall(body))]
        return " ".join([method, resource, *(kind.decode() for kind in kinds)])
    table, _, key = resource.partition("(")
    if row := _KEY_IN_ADDRESS.search(key):
        return f"{method} {table}({row[1]})"
    where = " ".join(parse_qs(parts.query).get("$filter", ()))
    if scanned := _KEY_IN_FILTER.search(where):
        return f"{method} {table}({scanned[1]}…)"
    if inserted := _KEY_IN_BODY.search(body):
        return f"{method} {table}({inserted[1].decode()})"
    return f"{method} {table}"
