"""Reads and writes rows of Azure Table Storage, and says what an error means. It knows nothing about runs.

azure-data-tables repeats some calls by itself and cannot repeat others. So an error does not say whether a write
happened. After a reset connection, that is unknown. If the first try succeeded without an answer, its repeat fails with
"already exists" or "changed since". Therefore `commit` asks its caller to read back whether the write is there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceResponseError,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableClient, TableEntity, TransactionOperation, UpdateMode
from requests import Session
from requests.adapters import HTTPAdapter

from polysync_core.adapters.storage.storage_errors import TROUBLE, code_of, unavailable
from polysync_core.rules.decisions import budgets
from polysync_core.rules.rows.row_keys import end_of
from polysync_core.values.deadline import Deadline
from polysync_core.values.errors import SettingsError, StorageUnavailable
from polysync_core.values.workspace import TablesAddress

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

_T = TypeVar("_T")
POOL_SIZE = 64
_RETRIES: Mapping[str, Any] = {"retry_total": 1, "retry_backoff_factor": 0.4, "retry_backoff_max": 2}
_deadline: ContextVar[Deadline | None] = ContextVar("storage_deadline", default=None)


@contextmanager
def storage_deadline(deadline: Deadline) -> Iterator[None]:
    """Limit every call to storage that this thread makes in the block.

    A call's time-outs are at most the time that is left. After `deadline`, a call raises StorageUnavailable.
    """
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


def _limits() -> Mapping[str, Any]:
    """The time-outs of one call. The transport's own default is 300 s.

    A call that has little time left is tried once. Raises StorageUnavailable when no time is left.
    """
    deadline = _deadline.get()
    if deadline is None:
        return {"connection_timeout": budgets.STORAGE_CONNECT, "read_timeout": budgets.STORAGE_READ}
    left = deadline.seconds_left()
    if left <= 0:
        raise StorageUnavailable("The time for asking Table Storage ran out.")
    limits: dict[str, Any] = {
        "connection_timeout": min(budgets.STORAGE_CONNECT, left),
        "read_timeout": min(budgets.STORAGE_READ, left),
    }
    return limits if left > budgets.STORAGE_RETRIED else {**limits, "retry_total": 0}


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One change of one row, as a part of a batch. `options` are those of azure-data-tables."""

    kind: TransactionOperation
    key: str
    columns: Mapping[str, object] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)


def create(key: str, columns: Mapping[str, object]) -> Operation:
    """Insert the row. The batch fails when the row exists already."""
    return Operation(kind=TransactionOperation.CREATE, key=key, columns=columns)


def replace(key: str, columns: Mapping[str, object], etag: str | None = None) -> Operation:
    """Insert or replace the whole row. With `etag`, the batch fails unless the row has that version."""
    kind = TransactionOperation.UPSERT if etag is None else TransactionOperation.UPDATE
    return Operation(kind=kind, key=key, columns=columns, options={"mode": UpdateMode.REPLACE, **_if_unchanged(etag)})


def merge(key: str, columns: Mapping[str, object], etag: str | None = None) -> Operation:
    """Change the named columns of an existing row. With `etag`, the batch fails unless the row has that version."""
    options = {"mode": UpdateMode.MERGE, **_if_unchanged(etag)}
    return Operation(kind=TransactionOperation.UPDATE, key=key, columns=columns, options=options)


def delete(key: str, etag: str | None = None) -> Operation:
    """Delete the row. With `etag`, the batch fails unless the row has that version."""
    return Operation(kind=TransactionOperation.DELETE, key=key, options=_if_unchanged(etag))


def _if_unchanged(etag: str | None) -> dict[str, Any]:
    return {} if etag is None else {"etag": etag, "match_condition": MatchConditions.IfNotModified}


def etag_of(row: TableEntity) -> str:
    return str(row.metadata["etag"])


def written_at_of(row: TableEntity) -> datetime | None:
    """When the row was last written, by storage's own clock."""
    written_at = row.metadata["timestamp"]
    return written_at if isinstance(written_at, datetime) else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Committed:
    """A commit that happened. `etags` holds the new versions of its rows, by row key.

    A row that was deleted has no version. After an error the versions are unknown, so `etags` is empty.
    """

    etags: Mapping[str, str] = field(default_factory=dict)


_Encoded = tuple[TransactionOperation, dict[str, object], dict[str, Any]]


def _send(client: TableClient, batch: Sequence[_Encoded]) -> Sequence[Mapping[str, Any]]:
    """Send the operations, and return what storage says of each one.

    One operation is sent as a request of its own, which takes less CPU time than a batch. But one delete is a batch,
    because `delete_entity` does not report that the row is missing.
    """
    limits = _limits()
    match batch:
        case [(TransactionOperation.CREATE, row, options)]:
            try:
                return [client.create_entity(row, **options, **limits)]
            except AttributeError as wrong:  # 12.7.0's, where the answer breaks off: it reads the error's response
                raise ServiceResponseError("The answer to an insert could not be read.") from wrong
        case [(TransactionOperation.UPDATE, row, options)]:
            return [client.update_entity(row, **options, **limits)]
        case [(TransactionOperation.UPSERT, row, options)]:
            return [client.upsert_entity(row, **options, **limits)]
        case _:
            try:
                return client.submit_transaction(batch, **limits)
            except ValueError as wrong:  # azure-core's, for a 202 that is no answer to a batch, such as a page
                raise ServiceResponseError("The answer to a batch could not be read.") from wrong


class Partition:
    """The rows of one partition, by row key. Safe to use from all threads. Each method may raise StorageUnavailable."""

    def __init__(self, table: Table, name: str) -> None:
        self._table = table
        self.name = name

    def get(self, key: str, columns: list[str] | None = None) -> TableEntity | None:
        """The row, or None. With `columns`, it holds only those of them that it has."""
        try:
            return self._table.client().get_entity(self.name, key, select=columns, **_limits())
        except ResourceNotFoundError:
            return None
        except TROUBLE as wrong:
            raise unavailable(wrong) from wrong

    def scan(
        self,
        prefix: str,
        *,
        after: str = "",
        upto: str | None = None,
        where: str = "",
        values: Mapping[str, object] | None = None,
        page_size: int | None = None,
    ) -> Iterator[TableEntity]:
        """The rows whose keys begin with `prefix`, in order of key: those after `after`, up to `upto`.

        `where` is a further filter, and `values` are its parameters.
        """
        ends = "RowKey lt @end" if upto is None else "RowKey le @end"
        query = f"PartitionKey eq @partition and RowKey gt @after and {ends}" + (f" and {where}" if where else "")
        given = {"partition": self.name, "after": after or prefix, "end": upto or end_of(prefix), **(values or {})}
        try:
            token: Any = None
            while True:  # each page has its own time-outs, and none begins after the deadline
                pages: Any = (
                    self._table.client()
                    .query_entities(query, parameters=given, results_per_page=page_size, **_limits())
                    .by_page(continuation_token=token)
                )
                yield from next(pages, ())
                token = pages.continuation_token
                if token is None:
                    return
        except ResourceNotFoundError:
            return
        except TROUBLE as wrong:
            raise unavailable(wrong) from wrong

    def put(self, key: str, columns: Mapping[str, object]) -> None:
        """Insert or replace the row."""
        self._write(key, columns, UpdateMode.REPLACE)

    def set_columns(self, key: str, columns: Mapping[str, object]) -> None:
        """Set the named columns and keep the others. Insert the row if it does not exist."""
        self._write(key, columns, UpdateMode.MERGE)

    def _write(self, key: str, columns: Mapping[str, object], mode: UpdateMode) -> None:
        client, row = self._table.client(), {"PartitionKey": self.name, "RowKey": key, **columns}
        try:
            self._creating_the_table(lambda: client.upsert_entity(row, mode=mode, **_limits()))
        except TROUBLE as wrong:
            raise unavailable(wrong) from wrong

    def commit(self, operations: Sequence[Operation], *, was_written: Callable[[], bool]) -> Committed | None:
        """Do all of `operations` (at most 100) or none. None when a row was not as expected.

        `was_written` reads back whether this write exists. It is called after every error, because the library may have
        repeated a write that succeeded. Raises StorageUnavailable when the outcome stays unclear; the write may still
        happen then.
        """
        try:
            return self._commit(operations)
        except TROUBLE as wrong:
            if was_written():
                return Committed()
            if isinstance(wrong, HttpResponseError) and wrong.status_code in {404, 409, 412}:
                return None
            raise unavailable(wrong) from wrong

    def _commit(self, operations: Sequence[Operation]) -> Committed:
        client, batch = self._table.client(), [self._encode(operation) for operation in operations]
        acknowledged = self._creating_the_table(lambda: _send(client, batch))
        etags = zip(operations, acknowledged, strict=True)
        return Committed(etags={each.key: said["etag"] for each, said in etags if said.get("etag")})

    def _creating_the_table(self, write: Callable[[], _T]) -> _T:
        """Write. If the table does not exist yet, create it and write again."""
        try:
            return write()
        except HttpResponseError as wrong:
            if code_of(wrong) != "TableNotFound":
                raise
            self._table.create()
            return write()

    def _encode(self, operation: Operation) -> _Encoded:
        row = {"PartitionKey": self.name, "RowKey": operation.key, **operation.columns}
        return operation.kind, row, {**operation.options}


class Table:
    """One table, created on its first write. Safe to use from all threads."""

    def __init__(self, address: TablesAddress, name: str, credential: Callable[[], TokenCredential]) -> None:
        self._address = address
        self._name = name
        self._credential = credential
        self._lock = threading.Lock()
        self._client: TableClient | None = None

    def partition(self, name: str) -> Partition:
        return Partition(self, name)

    def create(self) -> None:
        """Create the table. Does nothing when it exists already."""
        try:
            self.client().create_table(**_limits())
        except ResourceExistsError:
            return

    def client(self) -> TableClient:
        """azure-data-tables' client, made on first use."""
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
