"""A rotation of the key of the await addresses over HTTP, and what it means for callers that wait."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qsl, urlsplit

import pytest

from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core import services
from polysync_core.endpoints import run_endpoints, secret_endpoints
from polysync_core.rules.wire.http_answers import Reply
from polysync_core.rules.wire.http_contract import Call
from polysync_core.values.errors import RunNotFound
from tests.functions.app import ServedApp
from tests.functions.secrecy import QUERY_MARK, check_problem, check_told
from tests.use_cases.jobs_rig import discover_all, sync

ROTATE = "/api/secrets/await/rotate"


@pytest.fixture
def other(rig: Rig, azurite: str, workspace: SimulatedWorkspace, clock: ManualClock) -> Rig:
    """A second process of the same app."""
    return Rig(azurite, {rig.name: workspace.url}, workspace, clock)


def rotate(rig: Rig, days: int = 7) -> Reply:
    body = json.dumps({"keepOldForDays": days}).encode()
    return secret_endpoints.rotate_await_key(Call(method="POST", url=f"https://a{ROTATE}", body=body), rig.services)


def start(rig: Rig, pipeline_id: str) -> str:
    """Start or join an update, and return the await address."""
    call = Call(
        method="POST",
        url="https://sync.example.com/api/pipelines/x/updates",
        route={"pipeline_id": pipeline_id},
        body=b'{"onConflict": "attach"}',
    )
    return str(run_endpoints.start_update(call, rig.services).headers["Location"])


def poll(rig: Rig, address: str) -> Reply:
    parts = urlsplit(address)
    route = {"run_id": parts.path.split("/")[3]}
    return run_endpoints.await_run(
        Call(method="GET", url=address, query=dict(parse_qsl(parts.query)), route=route), rig.services
    )


def test_an_old_address_works_until_its_days_have_passed(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    old = start(rig, workspace.add_pipeline())
    answer = rotate(rig, 2)
    assert answer.body == {"rotatedAt": "2026-11-22T08:00:00.000Z", "oldValidUntil": "2026-11-24T08:00:00.000Z"}
    clock.pass_time(days=2, seconds=-1)
    new = poll(rig, old).headers["Location"]
    assert new != old
    assert poll(rig, new).headers["Location"] == new
    clock.pass_time(seconds=1)
    with pytest.raises(RunNotFound):
        poll(rig, old)
    assert poll(rig, new).status == 202, "a long wait does not outlive its address"


def test_without_days_old_addresses_end_at_once_also_those_of_earlier_rotations(
    rig: Rig, workspace: SimulatedWorkspace
) -> None:
    pipeline_id = workspace.add_pipeline()
    addresses = [start(rig, pipeline_id)]
    rotate(rig, 30)
    addresses.append(start(rig, pipeline_id))
    assert [poll(rig, address).status for address in addresses] == [202, 202]
    rotate(rig, 0)
    for address in addresses:
        with pytest.raises(RunNotFound):
            poll(rig, address)
    assert poll(rig, start(rig, pipeline_id)).status == 202


def test_a_process_that_knows_only_the_old_key_learns_the_new_one_from_a_token(
    rig: Rig, other: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    old = start(other, pipeline_id)
    clock.pass_time(seconds=20)
    rotate(rig)
    assert poll(other, old).headers["Location"] == old, "it does not know of the rotation yet"
    new = start(rig, pipeline_id)
    assert new != old
    assert poll(other, new).headers["Location"] == new
    assert poll(other, old).headers["Location"] == new


def test_a_process_that_knows_only_the_old_key_refuses_it_within_a_minute_of_its_end(
    rig: Rig, other: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    old = start(other, workspace.add_pipeline())
    rotate(rig, 0)
    clock.pass_time(minutes=1)
    with pytest.raises(RunNotFound):
        poll(other, old)


def test_a_rotation_changes_no_hidden_parameter(rig: Rig, other: Rig, workspace: SimulatedWorkspace) -> None:
    pipeline_id = workspace.add_pipeline(spec={"configuration": {"spark.api_token": "hush"}})
    assert discover_all(rig).tally.parameters.added == 4
    for _ in range(2):
        rotate(rig, 0)
    for process in (rig, other):
        assert sync(process, pipeline_id).changes == ()
    workspace.set_spec(pipeline_id, {"configuration": {"spark.api_token": "hush hush"}})
    assert [change.parameter for change in sync(other, pipeline_id).changes] == ["spark.api_token"]


class TestOverHttp:
    def test_a_caller_that_is_let_in_rotates_it_and_no_key_is_told(
        self, app: ServedApp, caplog: pytest.LogCaptureFixture
    ) -> None:
        pipeline_id = app.databricks.add_pipeline()
        old = app.start(pipeline_id)
        assert app.send("POST", ROTATE, {}, b"").status == 401
        answer = app.post(f"{ROTATE}?clientId={QUERY_MARK}", {"keepOldForDays": 1})
        assert (answer.status, sorted(answer.json)) == (200, ["oldValidUntil", "rotatedAt"])
        new = app.start(pipeline_id, {"onConflict": "attach"})
        addresses = [started.headers["location"].removeprefix(app.base_url) for started in (old, new)]
        assert addresses[0] != addresses[1]
        for address in addresses:
            waiting = app.send("GET", address, {}, b"")
            assert (waiting.status, waiting.headers["location"]) == (202, app.base_url + addresses[1])
        ended = app.post(ROTATE, {"keepOldForDays": 0})
        check_problem(app.send("GET", addresses[1], {}, b""), 404, "RunNotFound")
        assert f"the key of the await addresses was rotated by {app.credential.logged}" in caplog.text
        check_told(caplog.text, answer, ended)
        keys = services.current().await_keys.current()
        for key in (keys.newest, keys.first):
            for text in (base64.b64encode(key).decode(), key.hex(), repr(key)):
                assert text not in caplog.text + answer.body.decode() + ended.body.decode()

    @pytest.mark.parametrize("given", [-1, 31, "7", None])
    def test_wrong_days_are_named_with_the_range(self, app: ServedApp, given: object) -> None:
        answer = app.post(ROTATE, {"keepOldForDays": given})
        check_problem(answer, 400, "InvalidRequest")
        (error,) = answer.json["errors"]
        assert error == {
            "field": "keepOldForDays",
            "given": json.dumps(given),
            "allowed": "must be a whole number of days from 0 to 30",
        }
