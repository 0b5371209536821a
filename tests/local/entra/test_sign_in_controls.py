"""What a test of a page can read and make fail at the sign-in, also from another process."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from local.entra import AUTHORIZE, LOGOUT, TOKEN, SimulatedEntra
from tests.local.entra.page import ORIGIN, Page, returned


def _control(entra: SimulatedEntra, method: str, **arguments: object) -> Any:
    answer = requests.post(f"{entra.url}/_sim/{method}", json=arguments, timeout=10)
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def test_the_calls_of_the_page_can_be_read(entra: SimulatedEntra, page: Page) -> None:
    token = page.redeem(page.code()).json()["refresh_token"]
    page.refresh(token, origin=None)
    page.ask(redirect_uri="https://other.example.com/")
    page.browser.get(page.url(LOGOUT), timeout=10)
    calls = entra.sign_in_calls()
    assert [(call.route, call.method, call.status, call.error) for call in calls] == [
        (AUTHORIZE, "GET", 200, None),
        (AUTHORIZE, "GET", 302, None),
        (TOKEN, "POST", 200, None),
        (TOKEN, "POST", 400, 9002327),
        (AUTHORIZE, "GET", 400, 50011),
        (LOGOUT, "GET", 200, None),
    ]
    assert [call.origin for call in entra.sign_in_calls(TOKEN)] == [ORIGIN, None]
    assert calls[0].parameters["code_challenge_method"] == "S256"
    assert calls[3].parameters["refresh_token"] == token


def test_errors_that_the_page_hears_are_in_the_calls(entra: SimulatedEntra, page: Page) -> None:
    page.ask(prompt="none")
    page.redeem("garbage")
    assert [call.error for call in entra.sign_in_calls()] == [50058, 9002313]


@pytest.mark.parametrize("route", [AUTHORIZE, TOKEN, LOGOUT])
def test_each_endpoint_can_be_made_to_fail_alone(entra: SimulatedEntra, page: Page, route: str) -> None:
    entra.sign_in_as(["Polysync.Read"])
    entra.add_fault("status", route=route, status=503, times=None)

    def statuses() -> dict[str, int]:
        return {
            AUTHORIZE: page.ask().status_code,
            TOKEN: page.redeem("garbage").status_code,
            LOGOUT: page.browser.get(page.url(LOGOUT), timeout=10).status_code,
        }

    healthy = {AUTHORIZE: 302, TOKEN: 400, LOGOUT: 200}
    assert statuses() == {**healthy, route: 503}
    entra.clear_faults()
    assert statuses() == healthy


def test_a_code_whose_answer_got_lost_is_used_up(entra: SimulatedEntra, page: Page) -> None:
    code = page.code()
    entra.add_fault("reset", route=TOKEN, when="after")
    with pytest.raises(requests.ConnectionError):
        page.redeem(code)
    assert page.redeem(code).json()["error_codes"] == [54005]
    assert [call.status for call in entra.sign_in_calls(TOKEN)] == [None, 400]


def test_while_the_tenant_is_down_nobody_signs_in(entra: SimulatedEntra, page: Page) -> None:
    entra.down()
    with pytest.raises(requests.ConnectionError):
        page.ask()
    assert [call.status for call in entra.sign_in_calls()] == [None]


def test_another_process_prepares_the_sign_in_and_reads_its_calls(entra: SimulatedEntra) -> None:
    redirect = "http://127.9.8.7:7071/api/page"
    _control(entra, "register_redirect", url=redirect)
    _control(entra, "sign_in_as", roles=["Polysync.Read"], object_id="o-1", name="Rita")
    _control(entra, "configure_sign_in", access_token_seconds=7)
    page = Page(entra, redirect=redirect)
    told = page.redeem(returned(page.ask())["code"], origin="http://127.9.8.7:7071").json()
    assert told["expires_in"] == 7
    assert [call["status"] for call in _control(entra, "sign_in_calls", route=TOKEN)] == [200]
    assert _control(entra, "revoke_refresh_tokens", object_id="o-1") == 1
    assert page.refresh(told["refresh_token"], origin="http://127.9.8.7:7071").json()["error_codes"] == [50173]
    _control(entra, "ask_who")
    assert page.ask().status_code == 200
    _control(entra, "clear_sign_in")
    assert (page.ask().status_code, len(_control(entra, "sign_in_calls"))) == (400, 1)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("register_redirect", {"url": "ftp://a/"}),
        ("configure_sign_in", {"token_seconds": 1}),
        ("sign_in_as", {"role": "Polysync.Read"}),
    ],
)
def test_wrong_arguments_of_a_control_are_400(entra: SimulatedEntra, method: str, arguments: dict[str, object]) -> None:
    answer = requests.post(f"{entra.url}/_sim/{method}", json=arguments, timeout=10)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
