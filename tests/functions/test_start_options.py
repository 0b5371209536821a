"""Start options through local.host: an app that allows some of them, and one that allows none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from polysync_core.values.start_options import START_OPTIONS
from tests.functions.app import ServedApp, served
from tests.functions.secrecy import check_problem

OPTIONS: dict[str, Any] = {"refresh_selection": ["orders"], "full_refresh_selection": ["main.sales.items"]}


@pytest.fixture(scope="module")
def app(azurite: str) -> Iterator[ServedApp]:
    with served(azurite, POLYSYNC_START_OPTIONS=",".join(START_OPTIONS)) as running:
        yield running


def test_every_answer_about_the_run_shows_its_options(app: ServedApp) -> None:
    pipeline = app.databricks.add_pipeline()
    started = app.start(pipeline, OPTIONS)
    assert (started.status, started.json["options"], started.json["fullRefresh"]) == (202, OPTIONS, False)
    run = f"/api/runs/{started.json['runId']}"
    app.databricks.set_state(pipeline, None, "FAILED")
    app.fire("sweep_runs")
    result = started.json["resultUrl"].removeprefix(app.base_url)
    (listed,) = app.get(f"/api/runs?pipelineId={pipeline}").json["items"]
    for answer in (app.get(run).json, app.get(result).json, listed):
        assert (answer["options"], answer["status"]) == (OPTIONS, "Failed")
    plain = app.start(app.databricks.add_pipeline())
    assert plain.json["options"] == {}


def test_the_same_key_with_other_options_is_422(app: ServedApp) -> None:
    pipeline = app.databricks.add_pipeline()
    first = app.start(pipeline, OPTIONS, Idempotency_Key="k")
    assert app.start(pipeline, OPTIONS, Idempotency_Key="k").json["runId"] == first.json["runId"]
    check_problem(app.start(pipeline, {}, Idempotency_Key="k"), 422, "IdempotencyKeyReused")


def test_an_active_update_is_joined_with_the_same_options_and_409_with_others(app: ServedApp) -> None:
    pipeline = app.databricks.add_pipeline()
    first = app.start(pipeline, OPTIONS)
    joined = app.start(pipeline, {**OPTIONS, "onConflict": "attach"})
    assert (joined.status, joined.json["runId"], joined.json["attached"]) == (202, first.json["runId"], True)
    other = app.start(pipeline, {"validate_only": "true", "onConflict": "attach"})
    check_problem(other, 409, "ActiveUpdateExists")
    assert "cannot be joined" in other.json["detail"]


def test_a_contradiction_is_400_and_named(app: ServedApp) -> None:
    pipeline = app.databricks.add_pipeline()
    answer = app.start(pipeline, {**OPTIONS, "full_refresh": "true"})
    check_problem(answer, 400, "InvalidRequest")
    assert answer.json["errors"] == [
        {
            "field": "refresh_selection",
            "given": '["orders"]',
            "allowed": "contradicts full_refresh; give one of them",
        }
    ]
    assert app.databricks.updates_of(pipeline) == []


def test_without_the_setting_each_of_them_is_400_with_the_remedy(azurite: str) -> None:
    with served(azurite) as strict:
        pipeline = strict.databricks.add_pipeline()
        for name in START_OPTIONS:
            answer = strict.start(pipeline, {name: True if name == "validate_only" else ["orders"]})
            check_problem(answer, 400, "InvalidRequest")
            (error,) = answer.json["errors"]
            assert error["field"] == name
            assert "POLYSYNC_START_OPTIONS" in error["allowed"]
        assert strict.databricks.updates_of(pipeline) == []


def test_a_wrong_setting_is_answered_with_the_names_that_there_are(azurite: str) -> None:
    with served(azurite, POLYSYNC_START_OPTIONS="refresh") as app:
        answer = app.start("p1")
    check_problem(answer, 503, "SettingsInvalid")
    (problem,) = answer.json["settings"]
    assert all(name in problem for name in ("POLYSYNC_START_OPTIONS", "'refresh'", *START_OPTIONS))
