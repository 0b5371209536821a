"""Names for calls, without ids: what a fault is aimed at, and what a record of calls is read by."""

from __future__ import annotations

import re
from itertools import groupby
from urllib.parse import parse_qs, unquote, urlsplit

from local.workspace.api import UNKNOWN_ROUTE, match_route

# A row's key as it stands in an address, in a filter or in a body: 'active|…' or "active|…"; its kind is before the |.
_KEY_IN_ADDRESS = re.compile(r"RowKey='([^|']*)")
_KEY_IN_FILTER = re.compile(r"RowKey gt '([^|']*)")
_KEY_IN_BATCH = re.compile(rb"RowKey(?:='|%3D%27|\": ?\")([^|'\"%]*)")


def plain_label(method: str, target: str, _body: bytes) -> str:
    """Method and path."""
    return f"{method} {urlsplit(target).path}"


def workspace_label(method: str, target: str, _body: bytes) -> str:
    """`GET /pipelines/{id}`, by the routes of the Pipelines API; other paths as they are."""
    path = urlsplit(target).path
    route = match_route(unquote(path))[0]
    return f"{method} {path if route == UNKNOWN_ROUTE else route}"


def storage_label(method: str, target: str, body: bytes) -> str:
    """A call of Table Storage by the kinds of rows it is about, which stand before the first | of their keys.

    `GET PolysyncRuns(run)` one row, `GET PolysyncRuns(active…)` a scan, `POST $batch active run recent` a batch in
    the order of its operations (a key stands twice in some, in address and body: neighbours are told once).
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
    return f"{method} {table}"
