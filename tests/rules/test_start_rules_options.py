"""Start options: which active update a start may join, and which update a start without an answer may have made."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from polysync_core.rules.decisions import start_rules
from polysync_core.values.databricks import SeenUpdate
from polysync_core.values.run import Reservation
from polysync_core.values.start_options import NO_OPTIONS, StartOptions
from tests.rules.examples import NOW, make_run

ORDERS = StartOptions(refresh_selection=("orders", "items"))
RESET = StartOptions(reset_checkpoint_selection=("main.sales.orders",))
BOTH = StartOptions(refresh_selection=("orders",), reset_checkpoint_selection=("main.sales.orders",))
VALIDATION = StartOptions(validate_only=True)
LATER = StartOptions(unknown={"later": ["x"]})
ORDERS_AND_LATER = StartOptions(refresh_selection=ORDERS.refresh_selection, unknown={"later": ["x"]})


def wanting(options: StartOptions, full_refresh: bool = False) -> Reservation:
    return Reservation(pipeline_id="p", owner="o", reserved_at=NOW, full_refresh=full_refresh, options=options)


def showing(options: StartOptions = NO_OPTIONS, *others: str, **fields: Any) -> SeenUpdate:
    """An update that shows these options, and `others`, which make it partial in a way that no start can ask for."""
    known: dict[str, Any] = {"state": "RUNNING", "cause": "API_CALL", "full_refresh": False}
    partial_by = (*options.given(), *others)
    known |= {"created_at": NOW + timedelta(seconds=1), "options": options, "partial_by": partial_by}
    return SeenUpdate(update_id="u", **(known | fields))


@pytest.mark.parametrize(
    ("seen", "wanted", "joinable", "reason"),
    [
        (showing(), NO_OPTIONS, True, "the whole pipeline, by both"),
        (showing(ORDERS), NO_OPTIONS, False, "only a part"),
        (showing(), ORDERS, False, "more than was asked for"),
        (showing(ORDERS), ORDERS, True, "the same tables"),
        (showing(StartOptions(refresh_selection=("ITEMS", "orders"))), ORDERS, True, "in another order and case"),
        (showing(StartOptions(refresh_selection=("orders",))), ORDERS, False, "a table less"),
        (showing(StartOptions(full_refresh_selection=("orders", "items"))), ORDERS, False, "they are reset"),
        (
            showing(StartOptions(refresh_selection=("main.sales.orders", "main.sales.items"))),
            ORDERS,
            False,
            "whether they are these tables is not known",
        ),
        (showing(ORDERS, full_refresh=True), ORDERS, False, "a full refresh"),
        (showing(ORDERS, "rewind_spec"), ORDERS, False, "and something else"),
        (showing(NO_OPTIONS, "refresh_selection"), ORDERS, False, "a selection that cannot be read"),
        (showing(NO_OPTIONS, "refresh_selection"), NO_OPTIONS, False, "a selection that cannot be read"),
        (showing(VALIDATION), VALIDATION, True, "both validate"),
        (showing(), VALIDATION, False, "it refreshes"),
        (showing(VALIDATION), NO_OPTIONS, False, "it refreshes nothing"),
        (showing(RESET), RESET, True, "it shows the flows"),
        (showing(), RESET, False, "nothing proves that it resets them"),
        (showing(ORDERS), BOTH, False, "nothing proves that it resets them"),
    ],
)
def test_an_update_of_somebody_else_is_joined_only_if_it_shows_exactly_what_is_wanted(
    seen: SeenUpdate, wanted: StartOptions, joinable: bool, reason: str
) -> None:
    assert start_rules.is_joinable(seen, wanting(wanted), None) is joinable, reason


@pytest.mark.parametrize(
    ("seen", "of_run", "wanted", "joinable", "reason"),
    [
        (showing(), NO_OPTIONS, NO_OPTIONS, True, "as without options"),
        (showing(ORDERS), ORDERS, ORDERS, True, "the same"),
        (showing(ORDERS), ORDERS, NO_OPTIONS, False, "only a part"),
        (
            showing(StartOptions(refresh_selection=("main.sales.orders", "main.sales.items"))),
            ORDERS,
            ORDERS,
            True,
            "Databricks shows the same tables with their schema",
        ),
        (showing(), RESET, RESET, True, "the run knows what the update does not show"),
        (showing(), RESET, NO_OPTIONS, False, "the run knows what the update does not show"),
        (showing(), NO_OPTIONS, RESET, False, "the run was started without it"),
        (showing(), ORDERS, ORDERS, False, "a retry that refreshes everything"),
        (showing(ORDERS, full_refresh=True), ORDERS, ORDERS, False, "another full_refresh"),
        (showing(), LATER, NO_OPTIONS, False, "a later version knows what the run was started with"),
        (showing(ORDERS), ORDERS_AND_LATER, ORDERS, False, "a later version knows what else it was started with"),
    ],
)
def test_an_update_with_a_run_is_joined_if_the_run_was_started_with_what_is_wanted(
    seen: SeenUpdate, of_run: StartOptions, wanted: StartOptions, joinable: bool, reason: str
) -> None:
    assert start_rules.is_joinable(seen, wanting(wanted), make_run(options=of_run)) is joinable, reason


@pytest.mark.parametrize(
    ("seen", "wanted", "as_listed", "as_fetched", "reason"),
    [
        (showing(ORDERS), ORDERS, True, True, "ours"),
        (showing(), ORDERS, True, False, "a listing may leave the tables out, a GET shows them"),
        (showing(VALIDATION), ORDERS, False, False, "a validation"),
        (showing(ORDERS), NO_OPTIONS, False, False, "only a part"),
        (showing(NO_OPTIONS, "rewind_spec"), ORDERS, False, False, "something that no start of ours asks for"),
        (showing(StartOptions(refresh_selection=("orders",))), ORDERS, False, False, "a table less"),
        (showing(StartOptions(refresh_selection=("orders", "items", "x"))), ORDERS, False, False, "a table more"),
        (
            showing(StartOptions(refresh_selection=("main.sales.ITEMS", "`sales`.orders"))),
            ORDERS,
            True,
            True,
            "the same tables in another spelling",
        ),
        (showing(StartOptions(refresh_selection=("reorders", "items"))), ORDERS, False, False, "another table"),
        (showing(), RESET, True, True, "a GET may leave out the flows"),
        (showing(StartOptions(refresh_selection=("orders",))), BOTH, True, True, "a GET may leave out the flows"),
        (showing(RESET), RESET, True, True, "or show them"),
        (showing(StartOptions(reset_checkpoint_selection=("f",))), RESET, False, False, "other flows"),
        (showing(ORDERS, full_refresh=True), ORDERS, False, False, "a full refresh"),
    ],
)
def test_what_an_update_shows_decides_whether_a_start_without_an_answer_made_it(
    seen: SeenUpdate, wanted: StartOptions, as_listed: bool, as_fetched: bool, reason: str
) -> None:
    assert start_rules.started_by([seen], wanting(wanted)) == ((seen,) if as_listed else ()), reason
    assert start_rules.may_be_of(seen, wanting(wanted)) is as_fetched, reason


@pytest.mark.parametrize(
    ("seen", "of_run", "wanted", "kind"),
    [
        (showing(VALIDATION), None, ORDERS, "a validation that refreshes nothing (validate_only)"),
        (showing(ORDERS), None, NO_OPTIONS, "an update of a part of the pipeline (refresh_selection)"),
        (showing(), RESET, NO_OPTIONS, "an update of a part of the pipeline (reset_checkpoint_selection)"),
        (showing(ORDERS), BOTH, VALIDATION, "part of the pipeline (refresh_selection, reset_checkpoint_selection)"),
        (showing(ORDERS), ORDERS, StartOptions(refresh_selection=("x",)), "with other names in refresh_selection"),
        (showing(), None, ORDERS, "an update of the whole pipeline"),
        (showing(full_refresh=True), None, NO_OPTIONS, "a full refresh"),
        (showing(), None, NO_OPTIONS, "not a full refresh"),
        (showing(), LATER, NO_OPTIONS, "an update with options that only a later version of Polysync knows"),
    ],
)
def test_why_an_update_cannot_be_joined(
    seen: SeenUpdate, of_run: StartOptions | None, wanted: StartOptions, kind: str
) -> None:
    run = None if of_run is None else make_run(options=of_run)
    assert kind in start_rules.kind_of(seen, wanting(wanted), run)
