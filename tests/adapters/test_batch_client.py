"""Our batches beside those of azure-data-tables: storage gets the same requests, and the caller the same result."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.data.tables import TableClient, TransactionOperation, UpdateMode
from requests import PreparedRequest, Response, Session

from polysync_core.adapters.storage.batch_client import BatchClient

ID_OR_DATE = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|^(x-ms-date|Date): .*\r\n", re.MULTILINE)
"""What differs from batch to batch. Storage wants a date of the whole batch, but not of its parts."""

ONCE = {"Authorization", "Content-Length", "x-ms-client-request-id"}
"""Headers that every request has for itself."""


class _Recording(Session):
    """Keeps the requests that it sends."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[PreparedRequest] = []

    def send(self, request: PreparedRequest, **options: Any) -> Response:
        self.sent.append(request)
        return super().send(request, **options)


@pytest.fixture
def table(azurite: str) -> str:
    name = f"T{uuid.uuid4().hex}"
    with TableClient.from_connection_string(azurite, name) as client:
        client.create_table()
    return name


def _batch(key: str, etag: str) -> list[tuple[TransactionOperation, dict[str, Any], dict[str, Any]]]:
    kinds, unchanged = TransactionOperation, {"etag": etag, "match_condition": MatchConditions.IfNotModified}
    row = {"PartitionKey": "w s", "text": "ü'\r\n--x", "number": 7, "flag": True}
    return [
        (kinds.CREATE, {**row, "RowKey": f"run|ä:{key}"}, {}),
        (kinds.UPSERT, {**row, "RowKey": "u'u"}, {"mode": UpdateMode.REPLACE}),
        (kinds.UPDATE, {**row, "RowKey": "old"}, {"mode": UpdateMode.MERGE, **unchanged}),
        (kinds.DELETE, {"PartitionKey": "w s", "RowKey": f"gone{key}"}, {}),
    ]


def _without_ids(batch: PreparedRequest) -> str:
    assert isinstance(batch.body, bytes)
    headers = [f"{name}: {batch.headers[name]}" for name in sorted(batch.headers) if name not in ONCE]
    return ID_OR_DATE.sub("", "\r\n".join([str(batch.url), *headers, batch.body.decode()]))


def _outcome(client: TableClient, key: str, etag: str) -> tuple[Any, ...]:
    try:
        return ("done", [[*said] for said in client.submit_transaction(_batch(key, etag))])
    except HttpResponseError as refused:
        return ("refused", refused.status_code, getattr(refused, "error_code", None))


@pytest.mark.parametrize("case", ["done", "exists", "changed", "missing"])
def test_a_batch_is_sent_and_answered_as_by_the_library(azurite: str, table: str, case: str) -> None:
    outcomes, sent = [], []
    makers: list[Callable[..., TableClient]] = [
        TableClient.from_connection_string,
        BatchClient.from_connection_string,
    ]
    for make in makers:
        session = _Recording()
        with make(azurite, table, transport=RequestsTransport(session=session)) as client:
            etag = client.upsert_entity({"PartitionKey": "w s", "RowKey": "old"})["etag"]
            if case != "missing":
                client.upsert_entity({"PartitionKey": "w s", "RowKey": "gonek"})
            if case == "exists":
                client.upsert_entity({"PartitionKey": "w s", "RowKey": "run|ä:k"})
            if case == "changed":
                client.upsert_entity({"PartitionKey": "w s", "RowKey": "old", "a": 1})
            outcomes.append(_outcome(client, "k", etag))
            sent.append(_without_ids(session.sent[-1]).replace(etag, "the old version"))
            for key in ("run|ä:k", "u'u", "old", "gonek"):
                client.delete_entity("w s", key)
    assert outcomes[0] == outcomes[1]
    assert (outcomes[0][0] == "done") is (case == "done")
    assert sent[0] == sent[1]
