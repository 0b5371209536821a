"""The settings of discovery: a wrong pattern is an error, and a wrong schedule falls back to every hour."""

from __future__ import annotations

import pytest

from polysync_core.settings import discovery_schedule
from tests.rules.examples import read_settings, setting_problem


def test_the_mission_s_patterns_are_the_default() -> None:
    assert read_settings().parameters == ("continuous", "development", "photon", "spark.*", "custom.*")
    assert read_settings(POLYSYNC_PARAMETERS=" ").parameters == read_settings().parameters
    assert read_settings(POLYSYNC_PARAMETERS="photon, team.*").parameters == ("photon", "team.*")


@pytest.mark.parametrize("given", ["spark.[", "spark.*,,photon", "spark .*", ","])
def test_a_malformed_pattern_is_named(given: str) -> None:
    problem = setting_problem(POLYSYNC_PARAMETERS=given)
    assert problem.startswith("POLYSYNC_PARAMETERS: ")
    assert problem.endswith("give names and patterns like 'continuous,development,photon,spark.*,custom.*'.")


@pytest.mark.parametrize(
    ("given", "schedule", "is_noted"),
    [("", "0 0 * * * *", False), ("0 */20 * * * *", "0 */20 * * * *", False), ("hourly", "0 0 * * * *", True)],
)
def test_an_invalid_schedule_falls_back_to_every_hour(given: str, schedule: str, is_noted: bool) -> None:
    assert discovery_schedule({"POLYSYNC_DISCOVERY_SCHEDULE": given}) == schedule
    notes = read_settings(POLYSYNC_DISCOVERY_SCHEDULE=given).notes
    assert any("POLYSYNC_DISCOVERY_SCHEDULE" in note for note in notes) is is_noted
