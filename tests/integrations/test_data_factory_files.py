"""The files of the Data Factory pipelines: what must be in each, without executing it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.loopback import VAULT_RESOURCE
from tests.integrations.sign_in_forms import PIPELINES
from tests.integrations.stack import INTEGRATIONS

FILES = sorted(PIPELINES.glob("*.json"))
CANCELLING = {"polysync_cancel", "polysync_entra_cancel"}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_log_of_data_factory_gets_a_key_or_an_address_that_is_a_credential(file: Path) -> None:
    activities = list(_all_activities(json.loads(file.read_text())["properties"]["activities"]))
    for activity in activities:
        policy, properties = activity.get("policy", {}), activity["typeProperties"]
        if properties.get("authentication", {}).get("resource") == VAULT_RESOURCE:
            assert policy["secureOutput"] is True, activity["name"]
        if "x-functions-key" in properties.get("headers", {}) or activity["type"] == "WebHook":
            assert policy["secureInput"] is True, activity["name"]
        if activity["name"] == "Start update":
            assert policy["secureOutput"] is True
    assert len({activity["name"] for activity in activities}) == len(activities)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_start_carries_a_key_is_not_repeated_and_may_take_a_day(file: Path) -> None:
    properties = json.loads(file.read_text())["properties"]
    starts = [
        activity
        for activity in _all_activities(properties["activities"])
        if "/updates'" in json.dumps(activity["typeProperties"].get("url", ""))
    ]
    assert len(starts) == (0 if file.stem in CANCELLING else 1)
    for start in starts:
        assert start["typeProperties"]["headers"]["Idempotency-Key"]["value"] == "@concat(pipeline().RunId, '/run')"
        assert start["policy"].get("retry", 0) == 0
    waiting = {"polysync_run": "policy", "polysync_run_webhook": "typeProperties"}.get(file.stem.replace("_entra", ""))
    if waiting:
        assert starts[0][waiting]["timeout"] == "1.00:00:00"


@pytest.mark.parametrize(("pipeline", "block"), [("polysync_entra_run", 0), ("polysync_run", 1)])
def test_the_page_shows_the_activity_of_polysync_run(pipeline: str, block: int) -> None:
    page = (INTEGRATIONS / "data-factory" / "README.md").read_text()
    shown = json.loads(page.split("```json\n")[block + 1].split("```")[0])
    (file,) = (file for file in FILES if file.stem == pipeline)
    real = json.loads(file.read_text())["properties"]["activities"][-1]
    assert {key: shown[key] for key in ("name", "type")} == {key: real[key] for key in ("name", "type")}
    assert shown["policy"].items() <= real["policy"].items()
    assert shown["typeProperties"]["headers"] == real["typeProperties"]["headers"]
    assert ("authentication" in shown["typeProperties"]) is ("authentication" in real["typeProperties"])


def test_a_pipeline_has_the_name_of_its_file() -> None:
    assert {json.loads(file.read_text())["name"] for file in FILES} == {file.stem for file in FILES}


def _all_activities(activities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the given activities and all activities inside them."""
    found = []
    for activity in activities:
        found.append(activity)
        for name, inner in activity["typeProperties"].items():
            if name.lower().endswith("activities"):
                found += _all_activities(inner)
    return found
