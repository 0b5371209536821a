"""Commits of one row and of several: the same outcomes, and the new versions of the rows that were written."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

import pytest

from polysync_core.adapters.storage.tables import (
    Committed,
    Operation,
    Partition,
    Table,
    create,
    delete,
    etag_of,
    merge,
    replace,
)
from polysync_core.values.workspace import TablesAddress

OLD = "W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""
Beside = Callable[[Operation], Sequence[Operation]]


@pytest.fixture
def rows(azurite: str) -> Partition:
    """A partition of a table that does not exist yet."""
    table = Table(TablesAddress(connection_string=azurite), f"T{uuid.uuid4().hex}", lambda: pytest.fail("no identity"))
    return table.partition("p")


@pytest.fixture(params=["alone", "in a batch"])
def beside(request: pytest.FixtureRequest) -> Beside:
    """Returns the operations of a commit: only the given one, or a replacement of another row too."""
    return lambda one: [one] if request.param == "alone" else [replace("other", {"a": 0}), one]


def _commit(rows: Partition, operations: Sequence[Operation]) -> Committed | None:
    return rows.commit(operations, was_written=lambda: False)


def _etag(rows: Partition, key: str) -> str:
    row = rows.get(key)
    assert row is not None
    return etag_of(row)


def test_each_acknowledged_write_has_the_version_that_a_read_shows(rows: Partition, beside: Beside) -> None:
    etag = None
    for write in (create, replace, merge):
        done = _commit(rows, beside(write("k", {"a": 1})))
        assert done is not None
        etag = done.etags["k"]
        assert etag == _etag(rows, "k"), write
    changed = _commit(rows, beside(replace("k", {"a": 2}, etag)))
    assert changed is not None
    gone = _commit(rows, beside(delete("k", changed.etags["k"])))
    assert gone is not None
    assert "k" not in gone.etags
    assert rows.get("k") is None


@pytest.mark.parametrize(
    ("operation", "reason"),
    [
        (create("k", {"a": 2}), "it exists"),
        (replace("k", {"a": 2}, OLD), "another version"),
        (merge("k", {"a": 2}, OLD), "another version"),
        (delete("k", OLD), "another version"),
        (merge("missing", {"a": 2}), "there is no such row"),
        (replace("missing", {"a": 2}, OLD), "there is no such row"),
        (delete("missing"), "there is no such row"),
    ],
)
def test_a_row_that_is_not_as_expected_stops_the_commit(
    rows: Partition, beside: Beside, operation: Operation, reason: str
) -> None:
    assert _commit(rows, [create("k", {"a": 1})]) is not None
    before = _etag(rows, "k")
    assert _commit(rows, beside(operation)) is None, reason
    assert (_etag(rows, "k"), rows.get("missing"), rows.get("other")) == (before, None, None)
