"""Start options: what was given, and when two starts ask for the same."""

from __future__ import annotations

import pytest

from polysync_core.values.start_options import NO_OPTIONS, START_OPTIONS, StartOptions

TABLES = ("orders", "main.sales.items")


def test_only_options_that_were_given_are_members() -> None:
    assert NO_OPTIONS.given() == {}
    assert not NO_OPTIONS
    every = StartOptions(
        refresh_selection=TABLES, full_refresh_selection=("a",), reset_checkpoint_selection=("b",), validate_only=True
    )
    assert every.given() == {
        "refresh_selection": [*TABLES],
        "full_refresh_selection": ["a"],
        "reset_checkpoint_selection": ["b"],
        "validate_only": True,
    }
    assert tuple(every.given()) == START_OPTIONS
    assert StartOptions(validate_only=True)


@pytest.mark.parametrize(
    ("one", "other", "same", "reason"),
    [
        (TABLES, TABLES, True, "the same"),
        (TABLES, TABLES[::-1], True, "another order"),
        (("Orders",), ("orders",), True, "Databricks ignores case"),
        (("`main`.`sales`.`orders`",), ("main.sales.orders",), True, "backticks only quote"),
        (TABLES, TABLES[:1], False, "a name less"),
        (("orders",), ("main.sales.orders",), False, "whether it is that one is not known"),
        (TABLES, (), False, "no selection"),
    ],
)
def test_two_selections_are_the_same_in_one_spelling(
    one: tuple[str, ...], other: tuple[str, ...], same: bool, reason: str
) -> None:
    first, second = (StartOptions(refresh_selection=names) for names in (one, other))
    assert (first.normal() == second.normal()) is same, reason


def test_the_same_names_in_another_selection_are_another_start() -> None:
    assert StartOptions(refresh_selection=TABLES).normal() != StartOptions(full_refresh_selection=TABLES).normal()
