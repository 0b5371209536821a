"""Every function through local.host: the callers that it admits, the requests that it refuses, and its secrecy."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from local.host import LocalHost, load_app, load_functions
from local.host.functions import HttpTrigger
from polysync_core.values.errors import SettingsError
from tests.functions.app import KEY, ROOT, WITH_KEY, ServedApp, environment, hosted, send_to
from tests.functions.bad_requests import BAD_REQUESTS, BadRequest
from tests.functions.secrecy import QUERY_MARK, check_problem, check_told, told_of_settings

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True)
class Route:
    """A function's address. The ids in it are well-formed but unknown."""

    name: str
    method: str
    address: str
    is_anonymous: bool
    template: str

    def takes(self, address: str) -> bool:
        """Whether this route matches the address. The host may still prefer another route that overlaps it."""
        return re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", self.template), address) is not None


def _routes() -> Iterator[Route]:
    for function in load_functions(load_app(ROOT)):
        trigger = function.trigger
        if isinstance(trigger, HttpTrigger):
            address = re.sub(r"\{\w+\}", "p1", f"/api/{trigger.route}".replace("{run_id}", "p1:u1"))
            for method in sorted(trigger.methods):
                is_anonymous = trigger.auth_level == "anonymous"
                yield Route(function.name, method, address, is_anonymous, f"/api/{trigger.route}")


ROUTES = tuple(_routes())
every_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
every_route_with_a_key = pytest.mark.parametrize(
    "route", [route for route in ROUTES if not route.is_anonymous], ids=lambda route: route.name
)


class TestWhatTheHostDecides:
    """Function keys. These tests run without settings. A function that is reached answers that they are missing.

    Where callers sign in, the host lets everybody in, and test_door.py tests the app's own door.
    """

    @pytest.fixture(scope="class")
    @classmethod
    def host(cls) -> Iterator[LocalHost]:
        with environment({}), LocalHost(ROOT, key=KEY, timers=False) as running:
            yield running

    def test_only_these_are_anonymous(self) -> None:
        assert {route.name for route in ROUTES if route.is_anonymous} == {
            *("await_run", "alive", "health", "openapi", "page", "page_file")
        }

    @every_route_with_a_key
    @pytest.mark.parametrize(
        ("query", "headers", "reason"),
        [
            ("", {}, "no key"),
            ("", {"x-functions-key": "wrong"}, "a wrong one in the header"),
            ("", {"x-functions-key": ""}, "an empty one"),
            ("", {"x-functions-key": f"{KEY}, {KEY}"}, "two"),
            ("?code=wrong", {}, "a wrong one in the query"),
            ("?code=", {}, "an empty one in the query"),
            (f"?code={KEY}", {"x-functions-key": "wrong"}, "the header beats the query"),
            ("", {"Authorization": f"Bearer {KEY}"}, "the wrong header"),
        ],
        ids=lambda value: value if isinstance(value, str) and " " in value else "",
    )
    def test_without_the_key_it_is_an_empty_401(
        self, host: LocalHost, route: Route, query: str, headers: dict[str, str], reason: str
    ) -> None:
        answer = send_to(host)(route.method, route.address + query, headers, b"")
        assert (answer.status, answer.body) == (401, b""), reason

    @every_route_with_a_key
    @pytest.mark.parametrize(
        ("query", "headers"),
        [
            ("", {"x-functions-key": KEY}),
            (f"?code={KEY}", {}),
            (f"?CODE={KEY}", {}),
            ("?code=wrong", {"X-Functions-Key": KEY}),
        ],
        ids=["header", "query", "query in capitals", "header beats query"],
    )
    def test_with_the_key_it_answers(self, host: LocalHost, route: Route, query: str, headers: dict[str, str]) -> None:
        answer = send_to(host)(route.method, route.address + query, headers, b"")
        check_problem(answer, 503, "SettingsInvalid")

    @pytest.mark.parametrize("route", [route for route in ROUTES if route.is_anonymous], ids=lambda route: route.name)
    def test_what_is_anonymous_answers_anybody(self, host: LocalHost, route: Route) -> None:
        for headers in ({}, {"x-functions-key": "wrong"}):
            answer = send_to(host)(route.method, route.address, headers, b"")
            assert answer.status != 401
            assert answer.body

    @every_route
    def test_a_wrong_method_is_an_empty_404(self, host: LocalHost, route: Route) -> None:
        taken = {other.method for other in ROUTES if other.takes(route.address)}
        assert "HEAD" not in taken
        for method in METHODS - taken:
            answer = send_to(host)(method, route.address, {"x-functions-key": KEY}, b"")
            assert (answer.status, answer.body) == (404, b""), method


NEEDS_SETTINGS = [route for route in ROUTES if route.name not in {"alive", "openapi", "page", "page_file"}]
WRONG_SETTINGS = {
    "DATABRICKS_HOST": "http://databricks.example",
    "POLYSYNC_PUBLIC_URL": "ftp://public.example",
    "POLYSYNC_STATUS_MAX_AGE": "30",
    "POLYSYNC_LOST_AFTER_MINUTES": "soon",
    "POLYSYNC_CALLBACK_SECRET": "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/s)",
    "AzureWebJobsStorage__tableServiceUrl": "https://tables.example",
}
NAMED = {*WRONG_SETTINGS, "POLYSYNC_TABLES"}


class TestWrongSettings:
    @pytest.fixture(scope="class")
    @classmethod
    def host(cls, sign_in: dict[str, str]) -> Iterator[LocalHost]:
        with hosted(WRONG_SETTINGS | sign_in) as running:
            yield running

    def test_a_process_that_serves_is_alive_and_describes_itself_all_the_same(self, host: LocalHost) -> None:
        alive = send_to(host)("GET", "/api/alive", {}, b"")
        assert (alive.status, json.loads(alive.body)) == (200, {"alive": True})
        openapi = send_to(host)("GET", "/api/openapi.json", {}, b"")
        assert (openapi.status, json.loads(openapi.body)["servers"]) == (200, [{"url": host.url}])

    def test_a_wrong_version_of_the_document_is_refused_all_the_same(self, host: LocalHost) -> None:
        refused = send_to(host)("GET", "/api/openapi.json?version=3.0", {}, b"")
        check_problem(refused, 400, "InvalidRequest")

    @pytest.mark.parametrize("route", NEEDS_SETTINGS, ids=lambda route: route.name)
    def test_every_other_function_names_all_of_them(
        self, host: LocalHost, route: Route, caplog: pytest.LogCaptureFixture
    ) -> None:
        address = f"{route.address}?clientId={QUERY_MARK}&token={'t' * 43}"
        answer = send_to(host)(route.method, address, WITH_KEY.headers, b"")
        told = told_of_settings(answer, route.name)
        assert set(re.findall(r"([A-Za-z_]{10,}): ", told)) == NAMED
        check_told(caplog.text, answer)
        assert ".example" not in answer.body.decode() + caplog.text

    def test_so_does_the_log_of_the_timer(self, host: LocalHost, caplog: pytest.LogCaptureFixture) -> None:
        with pytest.raises(SettingsError):
            host.fire("sweep_runs")
        assert all(name in caplog.text for name in NAMED)


VAULT = "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/s)"
ONE = "https://adb-1.7.azuredatabricks.net"
OF_THE_PLATFORM = [
    ({"DATABRICKS_HOST": VAULT}, "DATABRICKS_HOST", "was not resolved"),
    ({"DATABRICKS_HOST": ONE, "AzureWebJobsStorage": VAULT}, "AzureWebJobsStorage", "was not resolved"),
    ({"DATABRICKS_HOST": "https://northeurope.azuredatabricks.net"}, "DATABRICKS_HOST", "the address of a region"),
    ({"DATABRICKS_HOST": "https://accounts.azuredatabricks.net"}, "DATABRICKS_HOST", "of an account console"),
    (
        {"POLYSYNC_WORKSPACES": f'{{"a": {{"url": "{ONE}"}}, "b": {{"url": "{ONE}:443/"}}}}'},
        "POLYSYNC_WORKSPACES['b']",
        "has the same address as 'a'",
    ),
    (
        {"DATABRICKS_HOST": ONE, "AzureWebJobsStorage__tableUri": "https://t.example"},
        "AzureWebJobsStorage__tableUri",
        "did you mean AzureWebJobsStorage__tableServiceUri",
    ),
]


@pytest.mark.parametrize(("settings", "named", "remedy"), OF_THE_PLATFORM, ids=lambda part: str(part)[:60])
def test_what_a_platform_leaves_in_settings_is_named_by_every_function(
    settings: dict[str, str], named: str, remedy: str
) -> None:
    tables = {"POLYSYNC_TABLES": "https://t.example"}
    with environment(tables | settings), LocalHost(ROOT, timers=False) as host:
        for route in NEEDS_SETTINGS:
            told = told_of_settings(send_to(host)(route.method, route.address, {}, b""), route.name)
            assert told.startswith(f"{named}: "), route.name
            assert remedy in told, route.name
            assert ".example" not in told


class TestWhatTheAppRefuses:
    @pytest.mark.parametrize("bad", BAD_REQUESTS, ids=lambda bad: bad.reason)
    def test_a_bad_request_is_a_problem(
        self, bad: BadRequest, app: ServedApp, caplog: pytest.LogCaptureFixture
    ) -> None:
        joint = "&" if "?" in bad.address else "?"
        answer = replace(bad, address=f"{bad.address}{joint}clientId={QUERY_MARK}&code={KEY}").send(app)
        check_problem(answer, *bad.expected(app.credential.mode))
        check_told(caplog.text, answer)
        assert not app.databricks.calls()

    def test_a_body_of_exactly_64_kb_is_read(self, app: ServedApp) -> None:
        assert app.post("/api/runs/p1:u1/cancel", b"{}".ljust(65_536)).status == 404

    @pytest.mark.parametrize(
        ("body", "field", "given", "allowed"),
        [
            ({"full_refresh": "yes"}, "full_refresh", '"yes"', "true or false"),
            ({"größe": 1}, "größe", "1", "not a field of a start; there are full_refresh,"),
            ({"onConflict": "wait"}, "onConflict", '"wait"', '"fail" or "attach"'),
            ({"parameters": []}, "parameters", "[]", "JSON object"),
            ({"pipeline_id": "p2"}, "pipeline_id", '"p2"', "the same as in the path (p1)"),
        ],
    )
    def test_it_names_the_field_what_was_given_and_what_is_allowed(
        self, app: ServedApp, body: dict[str, object], field: str, given: str, allowed: str
    ) -> None:
        document = app.start("p1", body).json
        (error,) = document["errors"]
        assert (error["field"], error["given"]) == (field, given)
        assert allowed in error["allowed"]
        assert field in document["detail"]
        assert given in document["detail"]
