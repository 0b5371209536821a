"""Callbacks as a caller sees them, through local.host."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.receiver import Receiver
from tests.functions.app import Serve, ServedApp
from tests.functions.secrecy import check_problem, check_told, told_of_settings

CREDENTIAL = "sig=a-credential"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture(scope="module")
def app(serve: Serve, receiver: Receiver) -> Iterator[ServedApp]:
    with serve(POLYSYNC_CALLBACK_HOSTS=f"{receiver.host},*.logic.azure.com") as running:
        yield running


@pytest.fixture(autouse=True)
def _nothing_received(receiver: Receiver) -> None:
    receiver.deliveries.clear()


def path_of(document: dict[str, object], field: str) -> str:
    return "/" + str(document[field]).split("/", 3)[3]


@pytest.mark.parametrize(
    ("field", "other_headers"),
    [
        ("callBackUri", {"operation-location", "retry-after"}),
        ("callbackUrl", {"operation-location", "retry-after", "location"}),
    ],
)
def test_a_start_with_a_callback_is_called_back_once_its_run_has_finished(
    app: ServedApp, receiver: Receiver, caplog: pytest.LogCaptureFixture, field: str, other_headers: set[str]
) -> None:
    pipeline = app.databricks.add_pipeline()
    started = app.start(pipeline, {field: receiver.url()})
    assert started.status == 202
    assert set(started.headers) == {"content-type", *other_headers}
    assert "resultUrl" in started.json
    (callback,) = started.json["callbacks"]
    assert callback == {"kind": field, "state": "waiting", "tries": 0, "lastError": None, "nextAttemptAt": None}

    app.databricks.set_state(pipeline, None, "COMPLETED")
    app.fire("sweep_runs")
    due = app.get(path_of(started.json, "statusUrl"))
    assert (due.json["callbacks"][0]["state"], due.json["callbacks"][0]["nextAttemptAt"]) == (
        "due",
        due.json["finishedAt"],
    )
    app.fire("deliver_callbacks")
    (delivery,) = receiver.deliveries
    document = delivery.json["Output"] if field == "callBackUri" else delivery.json
    after = app.get(path_of(started.json, "statusUrl"))
    assert after.json["callbacks"] == [callback | {"state": "delivered", "tries": 1}]
    assert {**document, "callbacks": None} == {**after.json, "callbacks": None}
    check_told(caplog.text, due, after)
    for text in (caplog.text, str(started), str(due), str(after), delivery.body.decode()):
        assert CREDENTIAL not in text


def test_redeliver_is_refused_while_active_and_sends_again_afterwards(app: ServedApp, receiver: Receiver) -> None:
    pipeline = app.databricks.add_pipeline()
    started = app.start(pipeline, {"callbackUrl": receiver.url()})
    address = f"{path_of(started.json, 'statusUrl')}/callbacks/redeliver"
    check_problem(app.post(address), 409, "RunActive")
    app.databricks.set_state(pipeline, None, "FAILED")
    app.fire("sweep_runs")
    app.fire("deliver_callbacks")
    again = app.post(address)
    assert (again.status, again.json["callbacks"][0]["state"]) == (202, "due")
    app.fire("deliver_callbacks")
    assert len(receiver.deliveries) == 2
    check_problem(app.post("/api/runs/p1:u1/callbacks/redeliver"), 404, "RunNotFound")


def test_an_abandoned_run_is_finished_owes_its_callback_and_cannot_be_abandoned_again(
    app: ServedApp, receiver: Receiver
) -> None:
    started = app.start(app.databricks.add_pipeline(), {"callBackUri": receiver.url()})
    address = f"{path_of(started.json, 'statusUrl')}/abandon"
    app.databricks.clear_calls()
    answer = app.post(address)
    assert app.databricks.calls() == []
    assert (answer.status, answer.json["status"], answer.json["isFinished"]) == (200, "Unknown", True)
    assert (answer.json["error"]["code"], answer.json["callbacks"][0]["state"]) == ("RunAbandoned", "due")
    check_problem(app.post(address), 409, "RunFinished")
    check_problem(app.post("/api/runs/p1:u1/abandon"), 404, "RunNotFound")
    app.fire("deliver_callbacks")
    (delivery,) = receiver.deliveries
    assert (delivery.json["StatusCode"], delivery.json["Error"]["ErrorCode"]) == ("410", "RunAbandoned")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (
            {"callbackUrl": f"https://evil.example/x?{CREDENTIAL}"},
            ["callbackUrl", "evil.example", "POLYSYNC_CALLBACK_HOSTS"],
        ),
        ({"callBackUri": f"https://10.0.0.4/x?{CREDENTIAL}"}, ["callBackUri", "10.0.0.4", "POLYSYNC_CALLBACK_HOSTS"]),
        (
            {"callbackUrl": f"http://prod-1.logic.azure.com/x?{CREDENTIAL}"},
            ["callbackUrl", "https", "prod-1.logic.azure.com", "POLYSYNC_CALLBACK_HOSTS"],
        ),
        (
            {"callbackUrl": f"https://a:{CREDENTIAL}@prod-1.logic.azure.com/x"},
            ["callbackUrl", "POLYSYNC_CALLBACK_HOSTS"],
        ),
        ({"callbackUrl": ""}, ["callbackUrl"]),
        ({"callbackUrl": [f"https://prod-1.logic.azure.com/?{CREDENTIAL}"]}, ["callbackUrl"]),
        (
            {
                "callBackUri": f"https://prod-1.logic.azure.com/?{CREDENTIAL}",
                "callbackUrl": f"https://x.example/?{CREDENTIAL}",
            },
            ["callBackUri", "callbackUrl"],
        ),
        ({"callbackURL": f"https://prod-1.logic.azure.com/?{CREDENTIAL}"}, ["callbackURL", "callbackUrl"]),
        ({"hook": f"https://a.example/?{CREDENTIAL}"}, ["hook"]),
        ({"callbackUri": f"prod-1.logic.azure.com/?{CREDENTIAL}"}, ["callbackUri"]),
    ],
    ids=str,
)
def test_an_address_that_may_not_be_called_is_refused_before_anything_is_started(
    app: ServedApp, body: dict[str, object], told: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    pipeline = app.databricks.add_pipeline()
    answer = app.start(pipeline, body, Idempotency_Key="k")
    check_problem(answer, 400, "InvalidRequest")
    for word in told:
        assert word in answer.json["detail"]
    assert CREDENTIAL not in answer.body.decode() + caplog.text
    assert app.databricks.updates_of(pipeline) == []
    assert app.start(pipeline, {}, Idempotency_Key="k").status == 202, "the key was not used"


@pytest.mark.parametrize(
    ("settings", "host", "routes_url"),
    [
        (
            {"WEBSITE_HOSTNAME": "orders-staging.azurewebsites.net"},
            "orders.azurewebsites.net",
            "https://orders.azurewebsites.net/api",
        ),
        (
            {"POLYSYNC_PUBLIC_URL": "https://runs.example", "WEBSITE_HOSTNAME": "x.example"},
            "other.example",
            "https://runs.example/api",
        ),
        ({"POLYSYNC_PUBLIC_URL": "https://apim.example/sync"}, "other.example", "https://apim.example/sync"),
    ],
)
def test_every_address_is_under_the_public_one_else_the_host_that_the_caller_used(
    serve: Serve, receiver: Receiver, settings: dict[str, str], host: str, routes_url: str
) -> None:
    with serve(POLYSYNC_CALLBACK_HOSTS=receiver.host, **settings) as app:
        pipeline = app.databricks.add_pipeline()
        started = app.start(pipeline, {"callbackUrl": receiver.url()}, Host=host)
        app.databricks.set_state(pipeline, None, "COMPLETED")
        app.fire("sweep_runs")
        app.fire("deliver_callbacks")
    for field in ("statusUrl", "cancelUrl", "resultUrl"):
        assert started.json[field].startswith(f"{routes_url}/runs/")
    for name in ("location", "operation-location"):
        assert started.headers[name].startswith(f"{routes_url}/runs/")
    assert receiver.deliveries[0].json["statusUrl"] == started.json["statusUrl"]
    assert "other.example" not in f"{started} {receiver.deliveries[0].body!r}"


def test_a_secret_that_is_none_is_named_by_every_answer_and_not_shown(serve: Serve) -> None:
    with serve(POLYSYNC_CALLBACK_SECRET="whsec_tooshort") as app:
        for route, answer in {"health": app.get("/api/health"), "start_update": app.start("p1")}.items():
            assert "POLYSYNC_CALLBACK_SECRET" in told_of_settings(answer, route)
            assert "tooshort" not in answer.body.decode()
