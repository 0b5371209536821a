"""A table of Azure Table Storage: rows in, rows out, and what an error means. Knows nothing of runs.

azure-data-tables repeats some calls by itself and cannot repeat others, so an error does not say whether a write
happened: a reset leaves it open, and a repeat after a hidden success comes back as "already exists" or "changed since".
`commit` therefore asks its caller to look whether the write is there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Any

from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    DeserializationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableClient, TableEntity, TransactionOperation, UpdateMode
from requests import RequestException, Session
from requests.adapters import HTTPAdapter

from polysync_core.rules.rows.row_keys import end_of
from polysync_core.values.errors import SettingsError, StorageUnavailable
from polysync_core.values.workspace import TablesAddress

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

POOL_SIZE = 64
CONNECT_SECONDS, READ_SECONDS = 3.0, 5.0
_RETRIES: Mapping[str, Any] = {"retry_total": 1, "retry_backoff_factor": 0.4, "retry_backoff_max": 2}
_RETRIED_CALL_SECONDS = 2 * (CONNECT_SECONDS + READ_SECONDS) + 1
_TROUBLE = (AzureError, DeserializationError, RequestException, HTTPException)
"""What the library raises: its own errors, but for an answer that breaks off or is none, which come as they are."""
_REMEDIES = {
    "AuthorizationFailure": "The storage account's network rules do not let the app in. Allow the app's network in the "
    "account's networking, or give the tables a private endpoint in the app's virtual network.",
    "AuthorizationPermissionMismatch": "Give the app's identity the role Storage Table Data Contributor on the storage "
    "account. A new role may take ten minutes to be in force.",
    "KeyBasedAuthenticationNotPermitted": "The storage account refuses keys. Set the address of its tables instead of "
    "a connection string, so that the app's identity opens them.",
}
"""By storage's code, https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes."""
_OTHER_REMEDY = "Give the app's identity the role Storage Table Data Contributor, or check the connection string."
Operation = tuple[Any, ...]
_ends_at: ContextVar[float | None] = ContextVar("storage_ends_at", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Every call to storage that this thread makes in the block ends within so many seconds from now, or fails."""
    token = _ends_at.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


def _limits() -> Mapping[str, Any]:
    """Time-outs of one call. The transport's own default is 300 s. A call that has little time left is tried once."""
    ends_at = _ends_at.get()
    if ends_at is None:
        return {"connection_timeout": CONNECT_SECONDS, "read_timeout": READ_SECONDS}
    left = ends_at - time.monotonic()
    if left <= 0:
        raise StorageUnavailable("The time for asking Table Storage ran out.")
    limits: dict[str, Any] = {
        "connection_timeout": min(CONNECT_SECONDS, left),
        "read_timeout": min(READ_SECONDS, left),
    }
    return limits if left > _RETRIED_CALL_SECONDS else {**limits, "retry_total": 0}


def create(row: Mapping[str, object]) -> Operation:
    """Insert; the batch fails when the row is there already."""
    return (TransactionOperation.CREATE, row)


def replace(row: Mapping[str, object], etag: str | None = None) -> Operation:
    """Put the row as it is given; with `etag` only over exactly that version."""
    if etag is None:
        return (TransactionOperation.UPSERT, row, {"mode": UpdateMode.REPLACE})
    return (TransactionOperation.UPDATE, row, {"mode": UpdateMode.REPLACE, **_if_unchanged(etag)})


def merge(row: Mapping[str, object], etag: str | None = None) -> Operation:
    """Change the named columns of a row that has to exist; with `etag` only of exactly that version."""
    condition = {} if etag is None else _if_unchanged(etag)
    return (TransactionOperation.UPDATE, row, {"mode": UpdateMode.MERGE, **condition})


def insert_or_merge(row: Mapping[str, object]) -> Operation:
    """Set the named columns, and leave the others of the row if it is there."""
    return (TransactionOperation.UPSERT, row, {"mode": UpdateMode.MERGE})


def delete(row: Mapping[str, object], etag: str | None = None) -> Operation:
    """Delete the row; with `etag` only exactly that version."""
    return (TransactionOperation.DELETE, row, {} if etag is None else _if_unchanged(etag))


def _if_unchanged(etag: str) -> dict[str, Any]:
    return {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def etag_of(row: TableEntity) -> str:
    return str(row.metadata["etag"])


def written_at_of(row: TableEntity) -> datetime | None:
    """When the row was last written, by storage's own clock."""
    written_at = row.metadata["timestamp"]
    return written_at if isinstance(written_at, datetime) else None


class Table:
    """One table, created on first use. Safe to use from all threads. Every method raises StorageUnavailable."""

    def __init__(self, address: TablesAddress, name: str, credential: Callable[[], TokenCredential]) -> None:
        self._address = address
        self._name = name
        self._credential = credential
        self._lock = threading.Lock()
        self._client: TableClient | None = None

    def get(self, partition: str, key: str, columns: list[str] | None = None) -> TableEntity | None:
        """The row, or None; of `columns`, where given, those that it has."""
        try:
            return self._table().get_entity(partition, key, select=columns, **_limits())
        except ResourceNotFoundError:
            return None
        except _TROUBLE as wrong:
            raise _unavailable(wrong) from wrong

    def scan(
        self,
        partition: str,
        prefix: str,
        *,
        after: str = "",
        upto: str | None = None,
        where: str = "",
        values: Mapping[str, object] | None = None,
        page_size: int | None = None,
    ) -> Iterator[TableEntity]:
        """The partition's rows whose keys begin with `prefix`, in order of key: those after `after`, up to `upto`."""
        ends = "RowKey lt @end" if upto is None else "RowKey le @end"
        query = f"PartitionKey eq @partition and RowKey gt @after and {ends}" + (f" and {where}" if where else "")
        given = {"partition": partition, "after": after or prefix, "end": upto or end_of(prefix), **(values or {})}
        try:
            yield from self._table().query_entities(query, parameters=given, results_per_page=page_size, **_limits())
        except ResourceNotFoundError:
            return
        except _TROUBLE as wrong:
            raise _unavailable(wrong) from wrong

    def put(self, row: Mapping[str, object]) -> None:
        """Write the row whatever was there."""
        self._write(replace(row))

    def set_columns(self, row: Mapping[str, object]) -> None:
        """Set the named columns; the others of the row, if it is there, stay."""
        self._write(insert_or_merge(row))

    def _write(self, operation: Operation) -> None:
        try:
            self._commit([operation])
        except _TROUBLE as wrong:
            raise _unavailable(wrong) from wrong

    def commit(self, operations: Sequence[Operation], *, was_written: Callable[[], bool]) -> bool:
        """Do all of `operations` (one partition, at most 100) or none. True when they are done.

        False when a row was not as expected. `is_ours` reads back whether this very write is there; it is asked after
        every error, since the library may have repeated a write that had worked. An error that leaves it open and shows
        no trace is StorageUnavailable: then the write may still come.
        """
        try:
            self._commit(operations)
        except _TROUBLE as wrong:
            if was_written():
                return True
            if isinstance(wrong, HttpResponseError) and wrong.status_code in {404, 409, 412}:
                return False
            raise _unavailable(wrong) from wrong
        return True

    def _commit(self, operations: Sequence[Operation]) -> None:
        table = self._table()
        try:
            table.submit_transaction(operations, **_limits())
        except HttpResponseError as wrong:
            if getattr(wrong, "error_code", None) != "TableNotFound":
                raise
            self._create(table)
            table.submit_transaction(operations, **_limits())

    def _create(self, table: TableClient) -> None:
        try:
            table.create_table(**_limits())
        except ResourceExistsError:
            return

    def _table(self) -> TableClient:
        with self._lock:
            if self._client is None:
                self._client = self._connect()
            return self._client

    def _connect(self) -> TableClient:
        session = Session()
        adapter = HTTPAdapter(pool_maxsize=POOL_SIZE)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        transport = RequestsTransport(session=session, session_owner=False, use_env_settings=False)
        options = {"transport": transport, **_RETRIES}
        if self._address.endpoint is not None:
            return TableClient(self._address.endpoint, self._name, credential=self._credential(), **options)
        try:
            return TableClient.from_connection_string(self._address.connection_string or "", self._name, **options)
        except ValueError as wrong:
            raise SettingsError(["The connection string of Table Storage is malformed."]) from wrong


def _unavailable(wrong: Exception) -> StorageUnavailable:
    """Says what kind of trouble it is; never the library's own text, which holds addresses."""
    if isinstance(wrong, HttpResponseError) and wrong.status_code is not None:
        error_code = getattr(wrong, "error_code", None)
        code = str(getattr(error_code, "value", error_code))  # the library's own word, or a text that it does not know
        known = _REMEDIES.get(code)
        if known is not None:
            return StorageUnavailable(f"Table Storage answered {wrong.status_code} {code}. {known}")
        remedy = f" {_OTHER_REMEDY}" if wrong.status_code in {401, 403} else ""
        return StorageUnavailable(f"Table Storage answered {wrong.status_code}.{remedy}")
    return StorageUnavailable(f"Table Storage did not answer ({type(wrong).__name__}).")
