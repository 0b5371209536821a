"""python -m local.entra and python -m local.token, as people run them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping

import jwt
import pytest
import requests

from local.entra import AUDIENCE, DEFAULT_REDIRECTS, SimulatedEntra
from local.loopback import LoopbackServer
from local.messages import json_reply

REDIRECT = "http://127.0.0.1:7999/api/page"


def _token(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("POLYSYNC_")}
    command = [sys.executable, "-m", "local.token", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=clean | environ, timeout=60, check=False)


@pytest.fixture
def exported() -> Iterator[Mapping[str, str]]:
    """The settings that `python -m local.entra` prints. It must end well at SIGTERM."""
    command = [sys.executable, "-m", "local.entra", "--port", "0", "--redirect", REDIRECT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(5)]
        yield dict(line.removeprefix("export ").split("=", 1) for line in lines)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_the_issuer_prints_the_app_s_settings_and_token_asks_it(exported: Mapping[str, str]) -> None:
    assert (exported["POLYSYNC_CALLERS"], exported["POLYSYNC_ENTRA_AUDIENCE"]) == ("entra", AUDIENCE)
    printed = _token("--role", "Operate", "--workspace", "finance", "--object-id", "o-1", **exported)
    assert printed.returncode == 0, printed.stderr
    token = printed.stdout.strip()
    authority, tenant = exported["POLYSYNC_ENTRA_AUTHORITY"], exported["POLYSYNC_ENTRA_TENANT"]
    key = jwt.PyJWKClient(f"{authority}/{tenant}/discovery/v2.0/keys").get_signing_key_from_jwt(token)
    claims = jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCE, issuer=f"{authority}/{tenant}/v2.0")
    assert (claims["roles"], claims["oid"]) == (["Polysync.Operate.finance"], "o-1")


def test_the_issuer_signs_people_in_for_the_page_that_its_option_names(exported: Mapping[str, str]) -> None:
    authorize = f"{exported['POLYSYNC_ENTRA_AUTHORITY']}/{exported['POLYSYNC_ENTRA_TENANT']}/oauth2/v2.0/authorize"
    asked = {"client_id": exported["POLYSYNC_ENTRA_PAGE_CLIENT"], "redirect_uri": REDIRECT}
    answer = requests.get(authorize, params=asked, allow_redirects=False, timeout=10)
    assert (answer.status_code, answer.headers["Location"].startswith(REDIRECT)) == (302, True)
    other = requests.get(authorize, params={**asked, "redirect_uri": DEFAULT_REDIRECTS[0]}, timeout=10)
    assert other.status_code == 400


def test_token_may_be_of_a_person_with_several_roles(entra: SimulatedEntra) -> None:
    printed = _token("--role", "Read", "--role", "Admin", "--user", "--issuer", entra.url)
    claims = jwt.decode(printed.stdout.strip(), options={"verify_signature": False})
    assert (claims["roles"], claims["scp"]) == (["Polysync.Read", "Polysync.Admin"], "access")


def test_token_says_how_to_start_the_issuer_when_none_answers() -> None:
    with SimulatedEntra(host="127.0.0.1") as entra:
        url = entra.url
    refused = _token("--role", "Read", "--issuer", url)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"No issuer answers at {url}" in refused.stderr
    assert f"python -m local.entra --port {url.rpartition(':')[2]}" in refused.stderr


def test_token_says_when_something_else_answers() -> None:
    with LoopbackServer(lambda _: json_reply([])) as other:
        refused = _token("--role", "Read", "--issuer", other.url)
    assert refused.returncode == 1
    assert "is not the local issuer" in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--role", "Polysync.Read"),
        ("--workspace", "finance"),
        ("--role", "Read", "--issuer", "https://login.microsoftonline.com"),
        ("--role", "Read", "--issuer", "http://127.0.0.1:99999"),
    ],
)
def test_token_refuses_wrong_arguments(arguments: tuple[str, ...]) -> None:
    refused = _token(*arguments)
    assert (refused.returncode, refused.stdout) == (2, "")
