"""What a response of Databricks, or of a gateway before it, means: each kind, and similar responses of other kinds."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polysync_core.rules.wire import pipelines_api as api
from polysync_core.rules.wire.databricks_errors import Refusal, refusal_of
from polysync_core.rules.wire.pipelines_api import ApiRequest
from polysync_core.values.databricks_errors import (
    NETWORK_HINT,
    PERMISSION_HINT,
    SIGN_IN_HINT,
    WRONG_TENANT_HINT,
    DatabricksError,
    DatabricksNetworkRefused,
    DatabricksSignInPage,
    PermissionRefused,
)
from polysync_core.values.ids import RunId
from tests.rules.examples import PIPELINE

UPDATE, OTHER = "557aafb1-3ba0-4a2f-9b2c-6f4b2d2a3f10", "11111111-2222-3333-4444-555555555555"
GET_PIPELINE, GET_UPDATE = api.get_pipeline(PIPELINE), api.get_update(RunId(PIPELINE, UPDATE))
GONE = "RESOURCE_DOES_NOT_EXIST"
JWT_CLAIM = "io.jsonwebtoken.IncorrectClaimException: Expected iss claim to be: https://sts.windows.net/a, but was: b."


def told(code: object, message: str) -> bytes:
    return json.dumps({"error_code": code, "message": message}).encode()


def failed(request: ApiRequest, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> DatabricksError:
    with pytest.raises(DatabricksError) as caught:
        api.decode_answer(request, status, headers or {}, body)
    return caught.value


@pytest.mark.parametrize(
    ("request_", "body", "reason"),
    [
        (GET_PIPELINE, told(GONE, f"The specified pipeline {PIPELINE} was not found."), "as it was seen"),
        (GET_PIPELINE, told(GONE, f"The specified pipeline {PIPELINE.upper()} was not found."), "in capitals"),
        (GET_PIPELINE, told("NOT_FOUND", f"Pipeline '{PIPELINE}' does not exist"), "the newer code"),
        (GET_PIPELINE, told(GONE, f"Could not find {PIPELINE}"), "the code, and the id in other words"),
        (GET_PIPELINE, told(GONE, ""), "the code without a text"),
        (GET_PIPELINE, told(GONE, "It does not exist."), "the code, and a text that speaks of nothing else"),
        (GET_PIPELINE, told(GONE, f"The specified pipeline {PIPELINE} was not found in this workspace."), "known text"),
        (GET_PIPELINE, told(None, f"The specified pipeline {PIPELINE} was not found."), "the known text, no code"),
        (GET_PIPELINE, told(404, f"The specified pipeline {PIPELINE} was not found."), "the known text, an int"),
        (GET_UPDATE, told(GONE, f"The specified update {UPDATE} was not found."), "an update"),
        (GET_UPDATE, told(GONE, f"Update {UPDATE} of pipeline {PIPELINE} does not exist."), "an update of a pipeline"),
        (GET_UPDATE, told(GONE, f"The specified pipeline {PIPELINE} was not found."), "an update's pipeline"),
    ],
)
def test_a_404_that_is_about_what_was_asked_for(request_: ApiRequest, body: bytes, reason: str) -> None:
    error = failed(request_, 404, body)
    assert (error.does_not_exist, error.route_unknown) == (True, False), reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (told("FEATURE_DISABLED", "Pipelines are disabled."), "a feature that is switched off"),
        (told("FEATURE_DISABLED", f"Pipeline {PIPELINE}: disabled"), "a feature, and the id in its text"),
        (b'{"statusCode": 404, "message": "Resource not found"}', "a gateway"),
        (b'{"code": "404", "message": "Not Found"}', "another gateway"),
        (told(GONE, "The workspace with resource ID /subscriptions/s/w could not be found."), "a missing workspace"),
        (told(GONE, f"The workspace of pipeline {PIPELINE} could not be reached."), "a workspace, the id in its text"),
        (told("NOT_FOUND", "Tenant a.example was not found."), "a tenant"),
        (told(GONE, "No such path."), "a path"),
        (told(GONE, f"The specified pipeline {OTHER} was not found."), "another pipeline"),
        (told(None, f"The specified pipeline {OTHER} was not found."), "another pipeline, no code"),
        (told(None, f"Cannot find {PIPELINE}"), "the id in an unknown text, no code"),
        (told(None, f"The specified pipeline {PIPELINE} could not be reached."), "other trouble with it, no code"),
        (told(None, f"Pipeline {PIPELINE} is disabled."), "other trouble with it, no code"),
        (told(404, "not found"), "an integer code"),
        (told("SOMETHING_NEW", f"Look for {PIPELINE} elsewhere."), "a code that comes later"),
        (b"{}", "nothing is said"),
    ],
)
def test_a_404_that_proves_nothing(body: bytes, reason: str) -> None:
    error = failed(GET_PIPELINE, 404, body)
    assert (error.does_not_exist, error.route_unknown) == (False, False), reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (told("ENDPOINT_NOT_FOUND", "No API found for 'POST /pipelines/x/updates/y/stop'"), "the code"),
        (b'{"error": "Bad Target: /api/2.0/pipelines/x/updates/y/stop"}', "seen, without a code"),
        (b"<html>404</html>", "a page"),
        (b"", "nothing"),
    ],
)
def test_a_404_about_the_route(body: bytes, reason: str) -> None:
    error = failed(api.stop_update(RunId(PIPELINE, UPDATE)), 404, body)
    assert (error.does_not_exist, error.route_unknown) == (False, True), reason


def test_other_text_in_an_error_is_shown() -> None:
    assert failed(GET_PIPELINE, 404, b'{"error": "Bad Target: /api/2.0/x"}').says == "Bad Target: /api/2.0/x"


# --- refusals


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (401, told("UNAUTHENTICATED", "Request lacks credentials."), "401 is always the token's"),
        (401, b"", "401 without a word"),
        (400, told("BAD_REQUEST", JWT_CLAIM), "a claim"),
        (400, told("INVALID_PARAMETER_VALUE", "The token's tenant is not the workspace's tenant."), "a tenant"),
        (400, told("BAD_REQUEST", "AADSTS700016: Application not found"), "a code of Entra ID"),
        (400, b"Invalid Token", "a line of text"),
        (400, b"<html><body>Bad Request</body></html>", "a page"),
        (403, told("PERMISSION_DENIED", "Token is expiring within 30 seconds. (x)"), "JSON about the token"),
        (403, told("PERMISSION_DENIED", "Invalid token: expired"), "JSON about the token"),
        (403, b"<html>Invalid access token</html>", "a page"),
        (403, b"", "403 without a word"),
    ],
)
def test_an_answer_about_the_token_says_so_with_the_remedy(status: int, body: bytes, reason: str) -> None:
    assert refusal_of(status, {}, body) is Refusal.TOKEN, reason
    error = failed(GET_PIPELINE, status, body)
    assert isinstance(error, PermissionRefused)
    assert (error.refuses_token, error.databricks_status, error.http_status) == (True, status, 403)
    assert error.detail.startswith("Databricks refused this app's token: ")
    assert error.detail.endswith(WRONG_TENANT_HINT)
    assert error.hint == WRONG_TENANT_HINT


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (told("PERMISSION_DENIED", "User does not have Can Run on the pipeline."), "a permission"),
        (told("PERMISSION_DENIED", ""), "a code without a text"),
        (told(403, "no"), "an integer code"),
        (b'{"message": "no"}', "JSON without a code"),
        (told("PERMISSION_DENIED", "The page token is of another user."), "a listing's token"),
    ],
)
def test_an_answer_about_a_permission(body: bytes, reason: str) -> None:
    assert refusal_of(403, {}, body) is Refusal.PERMISSION, reason
    error = failed(GET_PIPELINE, 403, body)
    assert isinstance(error, PermissionRefused)
    assert (error.refuses_token, error.hint) == (False, PERMISSION_HINT)


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (400, told("INVALID_STATE", "The target schema does not exist."), "a bad request"),
        (400, told("INVALID_PARAMETER_VALUE", "Invalid page token"), "a listing's token"),
        (400, told("INVALID_PARAMETER_VALUE", "page_token is not valid"), "a listing's token"),
        (400, told("MALFORMED_REQUEST", "Unrecognized token 'x': was expecting JSON"), "a parser's word"),
        (400, told("INVALID_PARAMETER_VALUE", "spark.hadoop.fs.azure.sas.token is not set"), "a setting's name"),
        (
            400,
            told("INVALID_STATE", "Source IP address: 10.0.0.1 is blocked by the storage account"),
            "not a workspace",
        ),
        (404, b"Invalid Token", "not a refusal"),
        (500, told("INTERNAL_ERROR", "Token is invalid"), "not a refusal"),
        (200, b"Invalid Token", "not a refusal"),
    ],
)
def test_an_answer_that_refuses_nobody(status: int, body: bytes, reason: str) -> None:
    assert refusal_of(status, {}, body) is None, reason
    assert type(failed(GET_PIPELINE, status, body)) is DatabricksError


PRIVATE, LIST, RULES = "a private link only", "its IP access list", "its network rules"


@pytest.mark.parametrize(
    ("status", "location", "body", "says", "reason"),
    [
        (302, "/login.html?error=private-link-validation-error:123", b"", PRIVATE, "a redirect"),
        (303, "https://adb-1.7.azuredatabricks.net/login.html?error=Private%20Link:privatelink", b"", PRIVATE, "303"),
        (403, "", told("PERMISSION_DENIED", "Public network access is not allowed."), PRIVATE, "no public access"),
        (
            403,
            "",
            told(403, "Source IP address: 1.2.3.4 is blocked by Databricks IP ACL for workspace: 1"),
            LIST,
            "int",
        ),
        (403, "", told("PERMISSION_DENIED", "Blocked by the IP access list."), LIST, "in other words"),
        (403, "", b"Source IP address 1.2.3.4 is blocked", LIST, "a line of text"),
        (403, "", b"Invalid access to Org: 1234", RULES, "a line of text"),
        (403, "", told("PERMISSION_DENIED", "Invalid access to Org: 1234"), RULES, "JSON"),
        (403, "", told("PERMISSION_DENIED", "Unauthorized network access to workspace: 12"), RULES, "JSON"),
        (401, "", told("UNAUTHENTICATED", "Invalid access to Org: 1234"), RULES, "by 401"),
    ],
)
def test_a_refusal_by_the_network_names_which_and_the_remedy(
    status: int, location: str, body: bytes, says: str, reason: str
) -> None:
    headers = {"Location": location} if location else {}
    assert refusal_of(status, headers, body) is Refusal.NETWORK, reason
    error = failed(GET_PIPELINE, status, body, headers)
    assert isinstance(error, DatabricksNetworkRefused)
    assert not isinstance(error, PermissionRefused), "it is no statement about one job"
    assert says in error.detail, reason
    assert error.detail.endswith(NETWORK_HINT)
    assert (error.code, error.http_status) == ("DatabricksNetworkRefused", 403)
    assert "1.2.3.4" not in error.detail


# --- pages


@pytest.mark.parametrize(
    ("status", "headers", "body", "reason"),
    [
        (200, {}, b"<!DOCTYPE html><html><head><title>Sign In</title></head></html>", "as it was seen"),
        (200, {}, b"\xef\xbb\xbf \n<html><head><title>Databricks - Sign In</title>", "with a mark before"),
        (200, {}, b'<html lang="en"><title id="t">Log in to your account</title>', "in other words"),
        (200, {}, b"<html><title>Login</title>", "in other words"),
        (200, {}, b'<html><form action="https://login.microsoftonline.com/t/oauth2">', "Entra ID's own form"),
        (302, {"Location": "/login.html?next_url=%2Fapi"}, b"", "a redirect"),
        (303, {"Location": "https://login.microsoftonline.com/t/oauth2/authorize"}, b"", "to Entra ID"),
        (307, {"Location": "https://proxy.example/sso?to=x"}, b"<html>", "to a proxy's"),
    ],
)
def test_a_sign_in_page_is_named_as_such(status: int, headers: Mapping[str, str], body: bytes, reason: str) -> None:
    for request in (GET_PIPELINE, api.start_update("p", full_refresh=False), api.stop_pipeline("p")):
        error = failed(request, status, body, headers)
        assert isinstance(error, DatabricksSignInPage), reason
        assert (error.databricks_status, error.http_status, error.code) == (status, 503, "DatabricksSignInPage")
        assert error.detail.endswith(SIGN_IN_HINT)


@pytest.mark.parametrize(
    ("status", "headers", "body", "reason"),
    [
        (200, {}, b"<html><title>Maintenance</title>", "another page"),
        (200, {}, b"Sign In", "not a page"),
        (302, {"Location": "https://adb-2.7.azuredatabricks.net/api/2.0/pipelines"}, b"", "another redirect"),
        (302, {}, b"", "a redirect to nowhere"),
        (503, {}, b"<html><title>Sign In</title>", "trouble, whatever the page says"),
    ],
)
def test_another_page_is_not_taken_for_one(status: int, headers: Mapping[str, str], body: bytes, reason: str) -> None:
    assert type(failed(GET_PIPELINE, status, body, headers)) is DatabricksError, reason


def test_json_that_speaks_of_signing_in_is_json() -> None:
    body = b'{"spec": {}, "name": "<title>Sign In</title> https://login.microsoftonline.com"}'
    assert api.decode_answer(GET_PIPELINE, 200, {}, body)["spec"] == {}


@given(st.integers(300, 599), st.binary(max_size=80), st.text(max_size=40), st.text(max_size=20))
def test_every_answer_is_an_error_of_ours(status: int, raw: bytes, message: str, location: str) -> None:
    for body in (raw, told(message, message)):
        failed(GET_UPDATE, status, body, {"Location": location})
