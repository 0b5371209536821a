"""One browser for the session, the app with function keys for a file, and a signed-in tab for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from local.receiver import Receiver
from local.rig import Rig
from polysync_core.adapters.clock import Clock
from tests.functions.app import ServedApp, served
from tests.page.browser import MISSING, Tab, find_chromium, open_tab, running_browser
from tests.page.event_log import Log


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = find_chromium()
    if executable is None:
        pytest.skip(MISSING)
    with running_browser(executable) as running:
        yield running


@pytest.fixture(scope="module")
def hooks() -> Iterator[Receiver]:
    """A receiver that the app may call back."""
    with Receiver() as running:
        yield running


@pytest.fixture(scope="module")
def app(azurite: str, hooks: Receiver) -> Iterator[ServedApp]:
    """The app with function keys. A read of a run asks Databricks if the state is older than a second."""
    with served(
        azurite,
        POLYSYNC_STATUS_MAX_AGE_SECONDS="1",
        POLYSYNC_CALLBACK_HOSTS=hooks.host,
        POLYSYNC_START_OPTIONS="refresh_selection",
    ) as running:
        running.fire("sweep_runs")  # before anybody asks for the health, which the app keeps for 30 s
        yield running


@pytest.fixture
def rig(app: ServedApp, azurite: str) -> Rig:
    """Writes rows of the app's workspace, where requests would take too long."""
    return Rig(azurite, {app.name: app.databricks.url}, app.databricks, Clock())


@pytest.fixture
def tab(browser: Browser, app: ServedApp) -> Iterator[Tab]:
    """A tab of a reader who has entered the function key. It has called nothing but the app."""
    with open_tab(browser, app.base_url) as opened:
        yield opened


@pytest.fixture
def log(tab: Tab) -> Log:
    """The event log of every run, with one line at first."""
    log = Log()
    log.add("Update 1 started by API_CALL.", "create_update")
    tab.page.route("**/events?*", log.answer)
    tab.page.route("**/events", log.answer)
    return log
