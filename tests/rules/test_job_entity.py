"""Rows of PolysyncJobs: a decoded row equals the encoded value, and each column has one writer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.rules.rows.job_entity import (
    MAX_PIECES,
    decode_defaults,
    decode_discoveries,
    decode_job,
    encode_full_refresh,
    encode_job,
    encode_last_discovery,
    encode_under_way,
    pieces_of,
)
from polysync_core.values.errors import JobTooLarge, RowUnreadable
from polysync_core.values.job import (
    Counts,
    Direction,
    Discoveries,
    DiscoveryPass,
    FullRefresh,
    Job,
    JobDefaults,
    LastDiscovery,
    Tally,
)

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
JOB = Job(
    pipeline_id="p1",
    name="orders",
    imported_at=NOW,
    synced_at=NOW,
    parameters={"custom.a/b#c?": "x", "photon": True, "spark.n": 7, "spark.f": 0.5},
)
keys = st.text(st.characters(codec="utf-8"), max_size=20)
values = st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False) | keys


@given(st.dictionaries(keys, values), st.booleans(), st.none() | keys)
def test_a_job_comes_back_as_it_was(parameters: dict[str, Any], accessible: bool, name: str | None) -> None:
    job = replace(JOB, parameters=parameters, accessible=accessible, name=name)
    assert decode_job(encode_job(job)) == job


def test_large_parameters_are_cut_into_pieces_that_storage_takes() -> None:
    job = replace(JOB, parameters={"custom.x": "x" * 30_000, "custom.y": "ü😀" * 10_000})
    columns = encode_job(job)
    assert columns["pieces"] == 7
    assert all(isinstance(value, str) and len(value) <= 32_000 for name, value in columns.items() if "ters" in name)
    assert decode_job(columns) == job


def test_pieces_that_are_not_needed_any_more_are_emptied() -> None:
    large = encode_job(replace(JOB, parameters={"custom.x": "x" * 70_000}))
    small = {**large, **encode_job(JOB, pieces_before=pieces_of(large))}
    assert (small["parameters1"], small["parameters2"]) == ("", "")
    assert decode_job(small) == JOB


def test_what_fits_in_no_row_is_named_with_its_remedy() -> None:
    with pytest.raises(JobTooLarge, match=r"pipeline p1 take 448\d+ characters; 448000 fit\. Narrow"):
        encode_job(replace(JOB, parameters={"custom.x": "x" * (MAX_PIECES * 32_000 + 13)}))


def test_an_import_never_writes_the_user_s_columns_nor_a_put_the_imported_ones() -> None:
    own = FullRefresh(value=True, direction=Direction.BOTH)
    imported, put = encode_job(replace(JOB, full_refresh=own)), encode_full_refresh(own)
    assert put == {"fullRefresh": True, "fullRefreshDirection": "Input&Output"}
    assert not imported.keys() & put.keys()
    assert decode_job({**imported, **put}) == replace(JOB, full_refresh=own)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("pipelineId", 3),
        ("name", 3),
        ("accessible", "yes"),
        ("importedAt", "2026"),
        ("syncedAt", 5),
        ("pieces", None),
        ("pieces", True),
        ("pieces", 2),
        ("parameters0", "{"),
        ("parameters0", "[" * 100_000),
        ("parameters0", "[]"),
        ("parameters0", '{"x": null}'),
        ("parameters0", '{"x": {}}'),
    ],
)
def test_an_unreadable_row_is_unreadable(column: str, value: object) -> None:
    with pytest.raises(RowUnreadable):
        decode_job({**encode_job(JOB), column: value})


SPOILT = [
    {"fullRefresh": "true"},
    {"fullRefresh": True},
    {"fullRefresh": True, "fullRefreshDirection": "Sideways"},
    {"fullRefreshDirection": "Input"},
]


@pytest.mark.parametrize("columns", SPOILT)
def test_unreadable_columns_of_the_user_count_as_not_set_for_the_job_and_are_named_for_a_start(
    columns: dict[str, object],
) -> None:
    row = {**encode_job(JOB), **columns}
    assert decode_job(row) == JOB
    with pytest.raises(RowUnreadable):
        decode_defaults(row)


def test_a_start_needs_none_of_the_imported_columns() -> None:
    own = FullRefresh(value=True)
    assert decode_defaults({**encode_full_refresh(own), "name": 3}) == JobDefaults(full_refresh=own)
    assert decode_defaults({"name": "orders"}) == JobDefaults(name="orders")
    assert decode_defaults({}) == JobDefaults()


# --- the row of the last discovery

TALLY = Tally(jobs=Counts(added=1, unchanged=2), parameters=Counts(changed=3, removed=4), failed=5)
PASS = DiscoveryPass(began_at=NOW, page_token="t", after="p7", tally=TALLY, not_synced={"p3": None, "p4": NOW})
LAST = LastDiscovery(discovered_at=NOW, not_synced={"p3": None, "p4": NOW - timedelta(days=1)})


def test_the_last_discovery_and_the_one_under_way_come_back_as_they_were() -> None:
    columns = {**encode_last_discovery(LAST, TALLY), **encode_under_way(PASS)}
    assert decode_discoveries(columns) == Discoveries(last=LAST, under_way=PASS)
    assert decode_discoveries({**columns, **encode_under_way(None)}) == Discoveries(last=LAST)
    assert decode_discoveries(encode_last_discovery(None, TALLY)) == Discoveries()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("discoveredAt", "now"),
        ("notSynced", "[]"),
        ("notSynced", '{"p": 3}'),
        ("notSynced", '{"p": "2026-01-01"}'),
        ("underWay", 3),
        ("underWay", "x"),
        ("underWay", "{}"),
        ("underWay", "[]"),
    ],
)
def test_an_unreadable_row_of_the_last_discovery_is_unreadable(column: str, value: object) -> None:
    with pytest.raises(RowUnreadable):
        decode_discoveries({**encode_last_discovery(LAST, TALLY), **encode_under_way(PASS), column: value})
