"""The page in a browser: seconds until its first paint with an empty cache, and until a long history is shown.

    python -m bench.page [--runs 10000] [--times 20]

The host of the tests serves the page on this machine, so no network is in the figures.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from datetime import timedelta

from playwright.sync_api import Browser

from local.azurite import Azurite
from local.rig import Rig
from local.seeding import put_history
from polysync_core.adapters.clock import Clock
from tests.functions.app import KEY, served
from tests.page.browser import MISSING, find_chromium, running_browser

ROWS = ("the first paint", "the list of runs answers", "the list of runs is shown")
SHOWN = "new Promise(done => requestAnimationFrame(() => setTimeout(() => done(performance.now()))))"
LONGEST_LIST = """Math.max(...performance.getEntriesByType('resource')
    .filter(entry => new URL(entry.name).pathname.endsWith('/runs')).map(entry => entry.duration))"""
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.page", description="The page in a browser, measured.")
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        raise SystemExit(MISSING)
    with Azurite() as azurite, served(azurite.connection_string) as app, running_browser(chromium) as browser:
        rig = Rig(azurite.connection_string, {app.name: app.databricks.url}, app.databricks, Clock())
        # All within the hours that the page draws at first, so that it loads as many of them as it ever does.
        put_history(rig, options.runs, over=timedelta(hours=6), failed_every=20)
        measured = [_measure(browser, app.base_url) for _ in range(options.times)]
    print(f"{options.runs} runs, {options.times} times, each in a new browser profile\n")
    print("seconds until                    p50    p95    max")
    for row, seconds in zip(ROWS, zip(*measured, strict=True), strict=True):
        print(f"{row:<28} {_percentile(seconds, 50):>7.2f} {_percentile(seconds, 95):>6.2f} {max(seconds):>6.2f}")


def _measure(browser: Browser, url: str) -> tuple[float, float, float]:
    """Open the list with an empty cache. Seconds from the navigation, or of the slowest answer."""
    context = browser.new_context()
    context.add_init_script(f"sessionStorage.setItem('polysync.key', {KEY!r})")
    page = context.new_page()
    page.goto(f"{url}/api/page#/runs")
    page.wait_for_selector("table.runs tbody tr")
    shown, answered, painted = (float(page.evaluate(each)) / 1000 for each in (SHOWN, LONGEST_LIST, FIRST_PAINT))
    context.close()
    return painted, answered, shown


def _percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent of the values do not exceed."""
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


if __name__ == "__main__":
    main()
