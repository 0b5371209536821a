"""What a caller does with the app, written once. Every way to serve the app must give the same responses.

Each story uses a pipeline of its own and names the expected statuses. So two equal failures do not pass.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.functions.app import Answer, ServedApp

Story = Callable[[ServedApp], list[Answer]]


def _expect(told: dict[str, tuple[Answer, int]]) -> list[Answer]:
    """Assert that each response has the status beside it, and return the responses."""
    found = {step: answer.status for step, (answer, _) in told.items()}
    assert found == {step: status for step, (_, status) in told.items()}
    return [answer for answer, _ in told.values()]


def _path(answer: Answer, field: str) -> str:
    """Return an address of a run document, without scheme and host."""
    _, _, _, path = str(answer.json[field]).split("/", 3)
    return f"/{path}"


def health(app: ServedApp) -> list[Answer]:
    app.fire("sweep_runs")
    told = _expect({"health": (app.get("/api/health"), 200)})
    assert "s ago" in told[0].body.decode()
    return told


def a_run_until_it_succeeds(app: ServedApp) -> list[Answer]:
    app.databricks.add_pipeline("watched", "Tägliche Bestellungen — 注文")
    started = app.start("watched", {"full_refresh": "TRUE", "parameters": {"größe": 1}})
    run, result = _path(started, "statusUrl"), _path(started, "resultUrl")
    told = {
        "start": (started, 202),
        "before the sweep": (app.get(run), 200),
        "wait": (app.get(result), 202),
        "list": (app.get("/api/runs?pipelineId=watched&active=true"), 200),
    }
    app.databricks.set_state("watched", None, "RUNNING")
    app.fire("sweep_runs")
    told["running"] = (app.get(run), 200)
    app.databricks.set_state("watched", None, "COMPLETED")
    app.fire("sweep_runs")
    told |= {
        "succeeded": (app.get(run), 200),
        "result": (app.get(result), 200),
        "of another workspace": (app.get(f"{run}?workspace={app.name}"), 200),
        "cancel what is finished": (app.post(_path(started, "cancelUrl")), 200),
        "list again": (app.get("/api/runs?pipelineId=watched&status=Success&limit=1"), 200),
        "nothing active": (app.get("/api/runs?pipelineId=watched&active=true"), 200),
    }
    assert [told[step][0].json["status"] for step in ("before the sweep", "running", "succeeded")] == [
        "Unknown",
        "Running",
        "Success",
    ]
    assert told["result"][0].json["pipelineName"] in {None, "Tägliche Bestellungen — 注文"}
    assert started.json["startedBy"] == told["succeeded"][0].json["startedBy"] == app.credential.caller
    return _expect(told)


def a_run_that_fails(app: ServedApp) -> list[Answer]:
    pipeline = app.databricks.add_pipeline()
    started = app.start(pipeline)
    app.databricks.set_state(pipeline, None, "FAILED")
    app.fire("sweep_runs")
    return _expect(
        {
            "start": (started, 202),
            "failed": (app.get(_path(started, "statusUrl")), 200),
            "result": (app.get(_path(started, "resultUrl")), 424),
        }
    )


def a_run_that_is_cancelled(app: ServedApp) -> list[Answer]:
    app.databricks.add_pipeline("stopping")
    started = app.start("stopping", b"{}")
    cancel = _path(started, "cancelUrl")
    told = {
        "start": (started, 202),
        "cancel": (app.post(cancel), 202),
        "cancel again": (app.post("/api/pipelines/stopping/cancel", {}), 202),
        "while it stops": (app.get(_path(started, "statusUrl")), 200),
    }
    app.databricks.set_state("stopping", None, "CANCELED")
    app.fire("sweep_runs")
    told |= {
        "cancelled": (app.get(_path(started, "statusUrl")), 200),
        "result": (app.get(_path(started, "resultUrl")), 409),
        "cancel once more": (app.post(cancel, b""), 200),
        "cancel the pipeline": (app.post("/api/pipelines/stopping/cancel"), 404),
    }
    assert started.json["cancelledBy"] is None
    assert told["cancelled"][0].json["cancelledBy"] == app.credential.caller
    return _expect(told)


def a_second_start(app: ServedApp) -> list[Answer]:
    app.databricks.add_pipeline("busy")
    return _expect(
        {
            "first": (app.start("busy", Idempotency_Key='"k1"'), 202),
            "the same again": (app.start("busy", Idempotency_Key="k1"), 202),
            "another with its key": (app.start("busy", {"full_refresh": True}, Idempotency_Key="k1"), 422),
            "a second": (app.start("busy"), 409),
            "attach": (app.start("busy", {"onConflict": "attach"}), 202),
            "attach to something else": (app.start("busy", {"onConflict": "attach", "full_refresh": True}), 409),
            "cancel by key": (app.post("/api/pipelines/busy/cancel", Idempotency_Key="k1"), 202),
            "cancel by an unknown key": (app.post("/api/pipelines/busy/cancel", Idempotency_Key="k2"), 404),
        }
    )


def what_databricks_refuses(app: ServedApp) -> list[Answer]:
    app.databricks.add_pipeline("refused")
    told: dict[str, tuple[Answer, int]] = {"no such pipeline": (app.start("nowhere"), 404)}
    for status, times, headers in ((400, 1, {}), (403, 2, {}), (429, 1, {"Retry-After": "33"})):
        app.databricks.add_fault(
            "status",
            method="POST",
            route="/pipelines/{id}/updates",
            status=status,
            times=times,
            error_code="SOME_CODE",
            message="Grüße von Databricks",
            headers=headers,
        )
        told[f"{status}"] = (app.start("refused"), status)
        app.databricks.clear_faults()
    return _expect(told)


def the_events_of_a_run(app: ServedApp) -> list[Answer]:
    pipeline = app.databricks.add_pipeline(failures=[("Größe", "注文")])
    events = f"{app.run(pipeline)}/events"
    app.databricks.set_state(pipeline, None, "FAILED")
    told = {"events": (app.get(events), 200), "of its workspace": (app.get(f"{events}?workspace={app.name}"), 200)}
    assert told["events"][0].json["items"][0]["errors"] == [{"className": "Größe", "message": "注文"}]
    gone = app.databricks.add_pipeline()
    run = app.run(gone)
    app.databricks.remove_pipeline(gone)
    told["without its pipeline"] = (app.get(f"{run}/events"), 404)
    return _expect(told)


def tokens_of_the_result_address(app: ServedApp) -> list[Answer]:
    app.databricks.add_pipeline("tokens")
    app.databricks.add_pipeline("others")
    result = _path(app.start("tokens"), "resultUrl")
    other = _path(app.start("others"), "resultUrl")
    bare, _, token = result.partition("?token=")
    return _expect(
        {
            "right": (app.get(result), 202),
            "missing": (app.get(bare), 404),
            "empty": (app.get(f"{bare}?token="), 404),
            "cut short": (app.get(result[:-1]), 404),
            "not ASCII": (app.get(f"{bare}?token=%C3%A4{token}"), 404),
            "of another run": (app.get(f"{bare}?token={other.partition('=')[2]}"), 404),
        }
    )


def a_rotation_of_the_key_of_the_await_addresses(app: ServedApp) -> list[Answer]:
    app.databricks.add_pipeline("rotated")
    old = _path(app.start("rotated"), "resultUrl")
    rotate = "/api/secrets/await/rotate"
    told = {
        "rotate": (app.post(rotate, {"keepOldForDays": 1.0}), 200),
        "the old address": (app.get(old), 202),
        "a start that joins": (app.start("rotated", {"onConflict": "attach"}), 202),
        "rotate without a body": (app.post(rotate), 200),
        "too long": (app.post(rotate, {"keepOldForDays": 31}), 400),
        "the old address again": (app.get(old), 202),
    }
    new = told["a start that joins"][0]
    told["the new address"] = (app.get(_path(new, "resultUrl")), 202)
    assert _path(new, "resultUrl") != old
    return _expect(told)


def a_job_and_its_full_refresh(app: ServedApp) -> list[Answer]:
    spec = {"photon": True, "configuration": {"custom.größe/#?": "注文", "spark.n": "3.10"}}
    app.databricks.add_pipeline("job", "Bestellungen", spec=spec)
    assert app.post("/api/jobs/discover").status == 200
    full_refresh = "/api/jobs/job/parameters/full_refresh"
    told = {
        "job": (app.get("/api/jobs/job"), 200),
        "set": (app.put(full_refresh, {"value": "True", "direction": "Input&Output"}), 200),
        "no Bool": (app.put(full_refresh, {"value": 1}), 400),
        "no direction": (app.put(full_refresh, {"value": True, "direction": "größer"}), 400),
        "another parameter": (app.put("/api/jobs/job/parameters/photon", {"value": False}), 409),
        "start": (app.start("job"), 202),
        "nothing to sync": (app.post("/api/jobs/job/sync"), 200),
    }
    app.databricks.set_spec("job", {})
    told |= {"sync": (app.post("/api/jobs/job/sync"), 200), "synced job": (app.get("/api/jobs/job"), 200)}
    app.databricks.remove_pipeline("job")
    told |= {"gone": (app.post("/api/jobs/job/sync"), 200), "unknown": (app.get("/api/jobs/job"), 404)}
    return _expect(told)


def the_openapi_document(app: ServedApp) -> list[Answer]:
    return _expect(
        {
            "document": (app.get("/api/openapi.json"), 200),
            "2.0": (app.get("/api/openapi.json?version=2.0"), 200),
            "3.0": (app.get("/api/openapi.json?version=3.0"), 400),
        }
    )


def the_page(app: ServedApp) -> list[Answer]:
    told = {
        "index": (app.get("/api/page"), 200),
        "script": (app.get("/api/page/app.js"), 200),
        "picture": (app.get("/api/page/icon.svg"), 200),
        "configuration": (app.get("/api/page/config.json"), 200),
        "by its file": (app.get("/api/page/index.html"), 308),
        "unknown": (app.get("/api/page/nothing.js"), 404),
    }
    same = {"If-None-Match": told["script"][0].headers["etag"]}
    return _expect(told | {"not changed": (app.get("/api/page/app.js", **same), 304)})


STORIES: tuple[Story, ...] = (
    health,
    the_openapi_document,
    the_page,
    a_run_until_it_succeeds,
    a_run_that_fails,
    a_run_that_is_cancelled,
    a_second_start,
    what_databricks_refuses,
    the_events_of_a_run,
    tokens_of_the_result_address,
    a_rotation_of_the_key_of_the_await_addresses,
    a_job_and_its_full_refresh,
)
