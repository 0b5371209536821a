"""A small app for the host's tests. It shows what the host passes to a function and what it makes of the result."""

import json
import os

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route(route="echo/{name}", methods=["GET", "POST"])
def echo(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers),
        "query": dict(req.params),
        "route": dict(req.route_params),
        "body": req.get_body().decode("latin-1"),
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


@app.route(route="mirror", methods=["PUT"], auth_level=func.AuthLevel.ANONYMOUS)
def mirror(req: func.HttpRequest) -> func.HttpResponse:
    headers = {"X-Size": str(len(req.get_body())), "Set-Cookie": "seen=1; Path=/"}
    return func.HttpResponse(req.get_body(), status_code=201, headers=headers, mimetype="application/octet-stream")


@app.route(route="greeting", methods=["GET"])
async def greeting(req: func.HttpRequest, context: func.Context) -> str:
    return f"hello from {context.function_name}, {len(context.invocation_id)}"


@app.route(route="broken", methods=["GET"])
def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise RuntimeError("on purpose")


@app.route(route="unanswered", methods=["GET"])
def unanswered(req: func.HttpRequest) -> func.HttpResponse:
    return None  # type: ignore[return-value]


@app.route(route="split", methods=["GET"])
def bad_header(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("", headers={"X-Text": "ümlaut"})


@app.route(route="empty", methods=["GET"])
def empty(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("not sent", status_code=204)


@app.route(route="setting", methods=["GET"])
def setting(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(os.environ[req.params["name"]])


@app.route(route="overlap/{word}", methods=["GET"])
def a_first_by_name(req: func.HttpRequest) -> str:
    return "the parameter"


@app.route(route="overlap/fixed", methods=["GET", "DELETE"])
def B_second_by_name(req: func.HttpRequest) -> str:  # noqa: N802  (names are ordered in any case)
    return "the literal"


@app.route(route="numbers/{number:int}", methods=["GET"])
def number(req: func.HttpRequest) -> str:
    return str(req.route_params["number"])


@app.timer_trigger(schedule="0 0 0 1 1 *", arg_name="timer")
def new_year(timer: func.TimerRequest) -> None:
    assert timer.past_due is False
