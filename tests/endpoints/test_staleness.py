"""What the answers about one run say about time: all of them the same."""

from __future__ import annotations

import json

from local.rig import ManualClock, Rig
from local.workspace import SimulatedWorkspace
from polysync_core.endpoints import run_endpoints as endpoints
from polysync_core.rules.wire.http_contract import Call
from polysync_core.rules.wire.run_document import iso


def test_all_answers_about_a_run_say_the_same_about_its_age(
    rig: Rig, workspace: SimulatedWorkspace, clock: ManualClock
) -> None:
    pipeline_id = workspace.add_pipeline()
    run_id = str(rig.start(pipeline_id, key="k").run.run_id)
    rig.sweep()
    swept_at = clock.now()
    base = "http://app.example/api"
    start = Call(
        method="POST",
        url=f"{base}/pipelines/{pipeline_id}/updates",
        headers={"idempotency-key": "k"},
        route={"pipeline_id": pipeline_id},
    )
    read = Call(method="GET", url=f"{base}/runs/{run_id}", route={"run_id": run_id})
    cancel = Call(method="POST", url=f"{base}/runs/{run_id}/cancel", route={"run_id": run_id})
    listing = Call(method="GET", url=f"{base}/runs")
    workspace.down()
    for seconds, stale_since in [(20, None), (280, iso(swept_at))]:
        clock.pass_time(seconds=seconds)
        repeated = endpoints.start_update(start, rig.services)
        answers = [repeated.body, endpoints.get_run(read, rig.services).body]
        answers += json.loads(endpoints.list_runs(listing, rig.services).encode())["items"]
        if stale_since is not None:
            answers.append(endpoints.cancel_run(cancel, rig.services).body)
        assert [answer["staleSince"] for answer in answers] == [stale_since] * len(answers)
        assert len({(answer["startedAt"], answer["timeoutAt"]) for answer in answers}) == 1
