"""Starts with start options: what is sent and stored, who may join, and how a start without an answer is found."""

from __future__ import annotations

from typing import Any

import pytest

from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace, script_ending
from polysync_core.use_cases.reading import RunView
from polysync_core.values.errors import InvalidRequest, KeyReused, StartUnknown, UpdateConflict
from polysync_core.values.job import Direction
from polysync_core.values.start_options import NO_OPTIONS, START_OPTIONS, StartOptions
from tests.conftest import RigOf
from tests.use_cases.jobs_rig import discover_all, put

UPDATES, UPDATE = "/pipelines/{id}/updates", "/pipelines/{id}/updates/{uid}"
ATTACH = {"onConflict": "attach"}
ORDERS = {"refresh_selection": ["orders"]}
EVERY_KIND: list[dict[str, Any]] = [
    ORDERS,
    {"full_refresh_selection": ["main.sales.orders", "items"]},
    {"reset_checkpoint_selection": ["main.sales.orders"]},
    {**ORDERS, "full_refresh_selection": ["items"], "reset_checkpoint_selection": ["main.sales.orders"]},
    {"validate_only": True},
]
every_kind = pytest.mark.parametrize("options", EVERY_KIND, ids=str)
shown_or_not = pytest.mark.parametrize("shown", [True, False], ids=["all shown", "only what the SDK knows"])


@pytest.fixture
def rig(rig_of: RigOf) -> Rig:
    """The core of an app whose callers may send every start option."""
    return rig_of(POLYSYNC_START_OPTIONS=",".join(START_OPTIONS))


@every_kind
def test_the_options_are_sent_beside_the_missions_body_and_kept_with_the_run(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, options: dict[str, Any]
) -> None:
    pipeline_id = workspace.add_pipeline()
    run = rig.start(pipeline_id, options).run
    (update,) = workspace.updates_of(pipeline_id)
    assert update.body == {"pipeline_id": pipeline_id, "full_refresh": False, **options}
    assert (run.options.given(), run.full_refresh) == (options, False)
    assert rig.stored(run.run_id) == run
    workspace.set_state(pipeline_id, None, "COMPLETED")
    clock.pass_time(minutes=1)
    rig.sweep()
    view: RunView = rig.read(run.run_id)
    assert (view.run.is_finished, view.run.options) == (True, run.options)


def test_options_that_say_nothing_leave_the_missions_body_as_it_is(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    run = rig.start(pipeline_id, {"validate_only": "false", "refresh_selection": None}).run
    assert workspace.updates_of(pipeline_id)[0].body == {"pipeline_id": pipeline_id, "full_refresh": False}
    assert run.options == NO_OPTIONS


def test_without_the_setting_no_option_reaches_databricks(rig_of: RigOf, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    for options in EVERY_KIND:
        with pytest.raises(InvalidRequest, match="POLYSYNC_START_OPTIONS"):
            rig_of().start(pipeline_id, options)
    assert workspace.calls("POST", UPDATES) == []


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        ({}, True),
        (ORDERS, False),
        ({"validate_only": True}, False),
        ({**ORDERS, "full_refresh": False}, False),
        ({"validate_only": False}, True),
    ],
)
def test_the_jobs_full_refresh_is_taken_only_by_a_start_without_options(
    rig: Rig, workspace: SimulatedWorkspace, body: dict[str, Any], sent: bool
) -> None:
    pipeline_id = workspace.add_pipeline()
    discover_all(rig)
    put(rig, pipeline_id, True, Direction.INPUT)
    assert rig.start(pipeline_id, body).run.full_refresh is sent
    assert workspace.updates_of(pipeline_id)[0].full_refresh is sent


def test_a_key_belongs_to_the_options_of_its_first_request(rig: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline()
    first = rig.start(pipeline_id, {"refresh_selection": ["orders", "items"]}, key="k").run
    assert rig.start(pipeline_id, {"refresh_selection": ["items", "orders"]}, key="k").run == first
    for other in ({}, ORDERS, {"full_refresh_selection": ["orders", "items"]}, {"validate_only": True}):
        with pytest.raises(KeyReused):
            rig.start(pipeline_id, other, key="k")
    assert len(workspace.updates_of(pipeline_id)) == 1


# --- joining an active update


@shown_or_not
@every_kind
def test_a_caller_with_the_same_options_joins_the_run_that_this_app_started(
    rig: Rig, workspace: SimulatedWorkspace, options: dict[str, Any], shown: bool
) -> None:
    workspace.configure(shows_undocumented_options=shown)
    pipeline_id = workspace.add_pipeline()
    first = rig.start(pipeline_id, options).run
    joined = rig.start(pipeline_id, {**ATTACH, **options})
    assert (joined.attached, joined.run.run_id) == (True, first.run_id)
    assert len(workspace.calls("POST", UPDATES)) == 1


@shown_or_not
@every_kind
def test_a_caller_with_other_options_joins_nothing(
    rig: Rig, workspace: SimulatedWorkspace, options: dict[str, Any], shown: bool
) -> None:
    workspace.configure(shows_undocumented_options=shown)
    pipeline_id = workspace.add_pipeline()
    first = rig.start(pipeline_id, options).run
    for other in ({}, {"refresh_selection": ["others"]}, *(kind for kind in EVERY_KIND if kind != options)):
        with pytest.raises(UpdateConflict, match="cannot be joined") as conflict:
            rig.start(pipeline_id, {**ATTACH, **other})
        assert conflict.value.active is not None
        assert conflict.value.active["runId"] == str(first.run_id)
    assert len(workspace.updates_of(pipeline_id)) == 1


def test_a_caller_with_options_does_not_join_an_update_of_the_whole_pipeline(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline()
    rig.start(pipeline_id)
    for options in EVERY_KIND:
        with pytest.raises(UpdateConflict, match="it is an update of the whole pipeline"):
            rig.start(pipeline_id, {**ATTACH, **options})


@every_kind
def test_an_update_that_was_started_elsewhere_is_adopted_with_the_options_that_it_shows(
    rig: Rig, workspace: SimulatedWorkspace, options: dict[str, Any]
) -> None:
    pipeline_id = workspace.add_pipeline()
    active = workspace.start_elsewhere(pipeline_id, cause="JOB_TASK", **options)
    joined = rig.start(pipeline_id, {**ATTACH, **options}).run
    assert (joined.run_id.update_id, joined.attached) == (active, True)
    assert joined.options.given() == options


def test_an_update_that_was_started_elsewhere_is_not_adopted_for_flows_that_it_does_not_show(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    workspace.configure(shows_undocumented_options=False)
    pipeline_id = workspace.add_pipeline()
    flows: dict[str, Any] = {"reset_checkpoint_selection": ["main.sales.orders"]}
    workspace.start_elsewhere(pipeline_id, cause="JOB_TASK", **flows)
    with pytest.raises(UpdateConflict, match="cannot be joined"):
        rig.start(pipeline_id, {**ATTACH, **flows})


# --- a start without an answer


@shown_or_not
@pytest.mark.parametrize("listing_shows_options", [True, False])
@every_kind
def test_a_start_with_options_and_without_an_answer_is_found_and_not_repeated(
    rig: Rig,
    workspace: SimulatedWorkspace,
    options: dict[str, Any],
    listing_shows_options: bool,
    shown: bool,
) -> None:
    workspace.configure(listing_shows_options=listing_shows_options, shows_undocumented_options=shown)
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("status", method="POST", route=UPDATES, status=500, when="after")
    run = rig.start(pipeline_id, options).run
    (update,) = workspace.updates_of(pipeline_id)
    assert run.run_id.update_id == update.update_id
    assert run.options.given() == options
    assert len(workspace.calls("POST", UPDATES)) == 1


@every_kind
def test_a_sweep_finds_the_update_of_a_start_with_options_whose_look_up_failed(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock, options: dict[str, Any]
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("status", method="POST", route=UPDATES, status=500, when="after")
    workspace.add_fault("status", method="GET", route=UPDATES, status=500, times=3)
    with pytest.raises(StartUnknown):
        rig.start(pipeline_id, options, key="k")
    clock.pass_time(seconds=46)
    rig.sweep()
    (update,) = workspace.updates_of(pipeline_id)
    run = rig.start(pipeline_id, options, key="k").run
    assert run.run_id.update_id == update.update_id
    assert run.options.given() == options


@pytest.mark.parametrize("listing_shows_options", [True, False])
@pytest.mark.parametrize(
    ("ours", "elsewhere"),
    [
        (ORDERS, {}),
        (ORDERS, {"refresh_selection": ["items"]}),
        (ORDERS, {"full_refresh_selection": ["orders"]}),
        (ORDERS, {"validate_only": True}),
        ({"validate_only": True}, {}),
        ({}, ORDERS),
    ],
    ids=str,
)
def test_an_update_with_other_options_is_not_taken_for_a_start_without_an_answer(
    rig: Rig,
    workspace: SimulatedWorkspace,
    clock: ManualClock,
    ours: dict[str, Any],
    elsewhere: dict[str, Any],
    listing_shows_options: bool,
) -> None:
    workspace.configure(listing_shows_options=listing_shows_options)
    pipeline_id = workspace.add_pipeline()
    workspace.start_elsewhere(pipeline_id, cause="API_CALL", **elsewhere)
    workspace.add_fault("status", method="POST", route=UPDATES, status=500, when="before")
    with pytest.raises(StartUnknown):
        rig.start(pipeline_id, ours)
    clock.pass_time(minutes=5)
    rig.sweep()
    assert rig.active_ids() == set()
    assert not rig.is_reserved(pipeline_id), "nothing of ours can show any more"


def test_an_update_with_options_that_is_listed_but_not_found_yet_is_ours_all_the_same(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline()
    workspace.add_fault("status", method="POST", route=UPDATES, status=500, when="after")
    workspace.add_fault("status", method="GET", route=UPDATE, status=404, error_code="RESOURCE_DOES_NOT_EXIST")
    assert rig.start(pipeline_id, ORDERS).run.run_id.update_id == workspace.updates_of(pipeline_id)[0].update_id


# --- Databricks' automatic retries


def test_a_followed_retry_is_an_attempt_of_the_run_and_keeps_its_options(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline(script=script_ending("FAILED"), retries=1)
    run_id = rig.start(pipeline_id, {**ORDERS, "followRetries": True}).run.run_id
    workspace.set_state(pipeline_id, None, "FAILED")
    clock.pass_time(seconds=1)
    rig.sweep()
    run = rig.stored(run_id)
    first, retry = workspace.updates_of(pipeline_id)
    assert [attempt.update_id for attempt in run.attempts] == [first.update_id, retry.update_id]
    assert run.options == StartOptions(refresh_selection=("orders",))
    assert rig.start(pipeline_id, {**ATTACH, **ORDERS}).run.run_id == run_id
    with pytest.raises(UpdateConflict, match="a part of the pipeline"):
        rig.start(pipeline_id, ATTACH)


def test_a_retry_that_no_sweep_has_seen_yet_is_joined_only_with_the_options_of_its_run(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    workspace.configure(shows_undocumented_options=False)
    flows = {"reset_checkpoint_selection": ["main.sales.orders"]}
    pipeline_id = workspace.add_pipeline(script=script_ending("FAILED"), retries=1)
    run_id = rig.start(pipeline_id, {**flows, "followRetries": True}).run.run_id
    workspace.set_state(pipeline_id, None, "FAILED")
    clock.pass_time(seconds=1)
    with pytest.raises(UpdateConflict, match="reset_checkpoint_selection") as conflict:
        rig.start(pipeline_id, ATTACH)
    assert conflict.value.active is not None
    assert conflict.value.active["runId"] == str(run_id)
    assert rig.start(pipeline_id, {**ATTACH, **flows}).run.run_id == run_id
