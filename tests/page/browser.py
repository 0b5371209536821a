"""A real browser for the tests of the page: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Page, Request, Route, ViewportSize, expect, sync_playwright

from tests.functions.app import KEY

MISSING = "no Chromium on this machine (Debian: apt-get install chromium)"
WIDE, NARROW = ViewportSize(width=1600, height=1000), ViewportSize(width=360, height=740)
Scheme = Literal["light", "dark"]
PATIENCE_MS = 15_000
"""How long a test waits for what it expects. A machine that is shared by many may be slow."""
expect.set_options(timeout=PATIENCE_MS)
QUICK = "AbortSignal.timeout = (original => ms => original.call(AbortSignal, ms / 50))(AbortSignal.timeout)"
"""Lets the time-outs of a browser's requests pass fifty times as fast. The clock of a test does not move them."""


def find_chromium() -> str | None:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def running_browser(executable: str) -> Iterator[Browser]:
    """Start the browser without a window. Its own calls to the network are switched off."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=executable,
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update"],
        )
        yield browser
        browser.close()


@dataclass(kw_only=True)
class Tab:
    """A tab of the browser, and what it did that a reader does not see."""

    page: Page
    url: str
    """The address of the app, without a path."""
    errors: list[str] = field(default_factory=list)
    """Exceptions of the page's scripts, and violations of its Content-Security-Policy."""
    origins: set[str] = field(default_factory=set)
    """The origins of all requests."""
    _under_way: set[Request] = field(default_factory=set)

    def open(self, address: str = "") -> Page:
        """Open the page at an address of its own, like `#/jobs`."""
        self.page.goto(f"{self.url}/api/page{address}")
        return self.page

    def pass_time(self, seconds: float) -> None:
        """Let time pass in the browser, at once. Requests that are under way end first, or they would time out."""
        while self._under_way:
            self.page.wait_for_timeout(20)
        self.page.clock.fast_forward(int(seconds * 1000))

    def listen(self) -> None:
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self._note(message.text))
        self.page.on("request", self._begin)
        self.page.on("requestfinished", self._end)
        self.page.on("requestfailed", self._end)

    def _end(self, request: Request) -> None:
        self._under_way.discard(request)

    def _note(self, text: str) -> None:
        if "Content Security Policy" in text or "Content-Security-Policy" in text:
            self.errors.append(text)

    def _begin(self, request: Request) -> None:
        parts = urlsplit(request.url)
        self._under_way.add(request)
        if parts.scheme in {"http", "https"}:
            self.origins.add(f"{parts.scheme}://{parts.netloc}")


@contextmanager
def open_tab(
    browser: Browser,
    url: str,
    *,
    key: str | None = KEY,
    viewport: ViewportSize = WIDE,
    scheme: Scheme = "light",
    origins: Set[str] = frozenset(),
    zone: str = "Europe/Berlin",
) -> Iterator[Tab]:
    """Yield a tab of a new browser profile. With `key`, the tab is signed in as a reader who has entered it.

    At the end, no script has failed, and no request has left the app and the further `origins`.
    """
    options: dict[str, Any] = {"viewport": viewport, "color_scheme": scheme, "timezone_id": zone, "locale": "en-GB"}
    context = browser.new_context(**options, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE_MS)
    if key is not None:
        context.add_init_script(f"sessionStorage.setItem('polysync.key', {key!r})")
    context.clock.install()
    tab = Tab(page=context.new_page(), url=url)
    tab.listen()
    yield tab
    tab.page.unroute_all(behavior="ignoreErrors")  # an answer may still be on its way through a route
    context.close()
    assert tab.errors == [], tab.errors
    assert tab.origins <= {url, *origins}, tab.origins


def change_answers(page: Page, pattern: str | re.Pattern[str], change: Callable[[Any], None]) -> None:
    """Change the JSON of the app's answers on their way, where a test cannot bring the app itself to answer so."""

    def answer(route: Route) -> None:
        answered = route.fetch()
        document = answered.json()
        change(document)
        route.fulfill(response=answered, json=document)

    page.route(pattern, answer)
