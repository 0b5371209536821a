"""The files of the page: how they are served, and what is in them. Without a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from local.entra import SimulatedEntra
from tests.functions.app import ROOT, ServedApp, served

FOLDER = ROOT / "polysync_core/page"
NAMES = sorted(path.name for path in FOLDER.iterdir())
OWN = [name for name in NAMES if name.endswith((".js", ".css", ".html"))]
NODE_MODULES = ROOT / "local/azurite_npm/node_modules"
VENDORED = {"preact.mjs": "preact/dist/preact.mjs", "htm.mjs": "htm/dist/htm.mjs"}
STRICT = "default-src 'self'; {}object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@pytest.fixture(scope="module")
def entra() -> Iterator[SimulatedEntra]:
    with SimulatedEntra() as running:
        yield running


@pytest.fixture(scope="module")
def signing_in(azurite: str, entra: SimulatedEntra) -> Iterator[ServedApp]:
    with served(azurite, entra) as running:
        yield running


def _get(app: ServedApp, path: str, **headers: str) -> requests.Response:
    """The answer to a request without a credential, for exactly this path."""
    session = requests.Session()
    prepared = session.prepare_request(requests.Request("GET", app.base_url, headers=headers))
    prepared.url = f"{app.base_url}{path}"
    return session.send(prepared, timeout=30, allow_redirects=False)


def _text(name: str) -> str:
    return (FOLDER / name).read_text()


# --- how they are served


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_served_to_everybody_with_its_type_and_the_headers_that_protect_it(
    app: ServedApp, name: str
) -> None:
    answer = _get(app, "/api/page" if name == "index.html" else f"/api/page/{name}")
    types = {"css": "text/css", "html": "text/html", "svg": "image/svg+xml"}
    assert answer.status_code == 200
    assert answer.content == (FOLDER / name).read_bytes()
    assert answer.headers["Content-Type"].split(";")[0] == types.get(name.rpartition(".")[2], "text/javascript")
    assert answer.headers["Content-Security-Policy"] == STRICT.format("")
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"


def test_a_browser_asks_each_time_and_gets_no_file_twice(app: ServedApp) -> None:
    first = _get(app, "/api/page/app.js")
    assert first.headers["Cache-Control"] == "no-cache"
    tag = first.headers["ETag"]
    for given in (tag, f"W/{tag}", f'"another", {tag}'):
        again = _get(app, "/api/page/app.js", **{"If-None-Match": given})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert _get(app, "/api/page/app.js", **{"If-None-Match": '"another"'}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "nothing.js",
        "app",
        "__init__.py",
        "..",
        "%2e%2e",
        "..%2f__init__.py",
        "..%5c__init__.py",
        "page%2fapp.js",
        "app.js%00",
        "APP.JS",
    ],
)
def test_no_other_name_is_a_file(app: ServedApp, path: str) -> None:
    answer = _get(app, f"/api/page/{path}")
    assert answer.status_code == 404
    if answer.content:  # the host itself answers some of them
        assert answer.json()["code"] == "PageFileNotFound"


@pytest.mark.parametrize("path", ["/api/page/", "/api/page/index.html"])
def test_an_address_beside_the_page_leads_to_it_relatively(app: ServedApp, path: str) -> None:
    answer = _get(app, path)
    assert (answer.status_code, answer.headers["Location"]) == (308, "../page")


def test_with_function_keys_the_configuration_says_so_and_nothing_else(app: ServedApp) -> None:
    answer = _get(app, "/api/page/config.json")
    assert answer.headers["Content-Type"] == "application/json"
    version = answer.json()["version"]
    nothing = dict.fromkeys(("authority", "tenant", "clientId", "scope"))
    assert answer.json() == {"callers": "keys", **nothing, "startOptions": ["refresh_selection"], "version": version}


def test_with_sign_in_the_configuration_and_the_policy_name_the_authority(
    signing_in: ServedApp, entra: SimulatedEntra
) -> None:
    config = _get(signing_in, "/api/page/config.json").json()
    environ = entra.environ()
    assert config == {
        "callers": "entra",
        "authority": entra.url,
        "tenant": environ["POLYSYNC_ENTRA_TENANT"],
        "clientId": environ["POLYSYNC_ENTRA_PAGE_CLIENT"],
        "scope": f"api://{environ['POLYSYNC_ENTRA_AUDIENCE']}/access",
        "startOptions": [],
        "version": config["version"],
    }
    policy = _get(signing_in, "/api/page").headers["Content-Security-Policy"]
    assert policy == STRICT.format(f"connect-src 'self' {entra.url}; ")


def test_while_settings_are_invalid_the_page_is_served_and_its_configuration_names_them(azurite: str) -> None:
    with served(azurite, POLYSYNC_RETENTION_DAYS="never") as app:
        assert _get(app, "/api/page").status_code == 200
        assert _get(app, "/api/page/app.js").status_code == 200
        config = _get(app, "/api/page/config.json")
        assert config.status_code == 503
        assert "POLYSYNC_RETENTION_DAYS" in config.json()["detail"]


# --- what is in them


def test_all_files_together_are_small() -> None:
    assert sum((FOLDER / name).stat().st_size for name in NAMES) < 150_000


@pytest.mark.parametrize("name", NAMES)
def test_no_file_names_another_host(name: str) -> None:
    addresses = set(re.findall(r"(?:https?:|[\"'(])//[\w.-]+", _text(name)))
    assert {address for address in addresses if address != "http://www.w3.org"} == set(), "w3.org is a namespace"


def test_the_index_has_no_script_or_style_of_its_own_and_preloads_every_module() -> None:
    index = _text("index.html")
    assert re.findall(r"<script[^>]*>(?!</script>)|<style|style=|\son\w+=", index) == []
    modules = {name for name in NAMES if name.endswith((".js", ".mjs"))}
    assert set(re.findall(r'"page/([\w.-]+\.m?js)"', index)) == modules


@pytest.mark.parametrize("name", OWN)
def test_no_file_makes_markup_of_text(name: str) -> None:
    forbidden = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "srcdoc")
    assert [word for word in forbidden if word in _text(name)] == []


@pytest.mark.parametrize("name", sorted(VENDORED))
def test_a_library_is_the_published_one(name: str) -> None:
    published = NODE_MODULES / VENDORED[name]
    if not published.exists():
        pytest.skip("make setup has not installed the npm packages")
    assert (FOLDER / name).read_bytes() == published.read_bytes()


@pytest.mark.parametrize("package", ["preact", "htm"])
def test_the_licences_name_every_library_with_its_version(app: ServedApp, package: str) -> None:
    lock = (ROOT / "local/azurite_npm/package.json").read_text()
    version = re.search(rf'"{package}": "([\d.]+)"', lock)
    assert version is not None
    answer = _get(app, "/api/page/licenses.txt")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    licences = answer.text
    assert f" {version[1]} (dist/{package}.mjs)" in licences
    licence = Path(NODE_MODULES / package / "LICENSE")
    if licence.exists():
        assert licence.read_text().strip() in licences
