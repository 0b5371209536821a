"""Takes pictures of each view: wide and narrow, light and dark.

python -m tests.page.screenshots FOLDER [VIEW …]
python -m tests.page.screenshots --readme           makes docs/page.png, which the README shows
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from playwright.sync_api import Page, ViewportSize

from local.azurite import Azurite
from tests.page.browser import MISSING, NARROW, WIDE, Scheme, Tab, find_chromium, open_tab, running_browser
from tests.page.stage import Stage, working_day

README_PICTURE = Path(__file__).resolve().parents[2] / "docs" / "page.png"
README_SIZE = ViewportSize(width=1200, height=780)
_SCHEMES: tuple[Scheme, ...] = ("light", "dark")


def addresses(stage: Stage) -> Mapping[str, str]:
    """The address of each view, by its name."""
    return {
        "runs": "#/runs",
        "failed-runs": "#/runs?status=Failed&hours=24",
        "failed": f"#/runs/{stage.failed}",
        "running": f"#/runs/{stage.running}",
        "jobs": "#/jobs",
        "job": f"#/jobs/{stage.job}",
        "health": "#/health",
        "unknown-run": "#/runs/p1:u1",
        "cancel": f"#/runs/{stage.running}",
        "abandon": f"#/runs/{stage.running}",
        "start": f"#/jobs/{stage.job}",
        "options": f"#/jobs/{stage.other_job}",
        "done": f"#/jobs/{stage.job}",
        "no-answer": f"#/runs/{stage.running}",
    }


def _unfold_options(page: Page) -> None:
    page.get_by_role("button", name="Start …").click()
    page.get_by_text("Start options").click()
    page.get_by_label("full_refresh_selection").fill("main.sales.orders\nmain.sales.order_lines")


def _lose_the_app(page: Page) -> None:
    page.route("**/api/runs/**", lambda route: route.fulfill(status=502))
    page.clock.fast_forward(10_000)


BEFORE: Mapping[str, Callable[[Page], None]] = {
    "cancel": lambda page: page.get_by_role("button", name="Cancel this run …").click(),
    "abandon": lambda page: page.get_by_role("button", name="Give up …").click(),
    "start": lambda page: page.get_by_role("button", name="Start …").click(),
    "options": _unfold_options,
    "done": lambda page: page.get_by_role("button", name="Sync parameters").click(),
    "no-answer": _lose_the_app,
}
"""What is done before the picture is taken: a dialog opens, or a notice appears. The last one breaks the tab."""


def show(tab: Tab, address: str) -> None:
    """Open a view, and wait until it shows its data."""
    tab.open(address)
    tab.page.reload(wait_until="networkidle")


def main(arguments: list[str]) -> int:
    executable = find_chromium()
    if executable is None or not arguments:
        print(MISSING if executable is None else __doc__, file=sys.stderr)
        return 1
    if arguments == ["--readme"]:
        _take_picture_of_readme(executable)
        return 0
    folder, wanted = Path(arguments[0]), arguments[1:]
    folder.mkdir(parents=True, exist_ok=True)
    with Azurite() as azurite, working_day(azurite.connection_string) as stage, running_browser(executable) as browser:
        for scheme in _SCHEMES:
            for size, viewport in (("wide", WIDE), ("narrow", NARROW)):
                with open_tab(browser, stage.url, viewport=viewport, scheme=scheme) as tab:
                    for name, address in addresses(stage).items():
                        if wanted and name not in wanted:
                            continue
                        show(tab, address)
                        if name in BEFORE:
                            BEFORE[name](tab.page)
                            tab.page.locator("dialog, .notice").first.wait_for()
                        tab.page.screenshot(path=folder / f"{name}-{size}-{scheme}.png", full_page=name not in BEFORE)
    return 0


def _take_picture_of_readme(executable: str) -> None:
    with (
        Azurite() as azurite,
        working_day(azurite.connection_string) as stage,
        running_browser(executable) as browser,
        open_tab(browser, stage.url, viewport=README_SIZE, scheme="light") as tab,
    ):
        show(tab, addresses(stage)["runs"])
        tab.page.screenshot(path=README_PICTURE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
