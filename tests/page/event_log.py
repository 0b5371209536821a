"""An event log that the network of the browser plays, so that a test needs no thousands of events."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Locator, Route, expect

from tests.functions.app import ServedApp
from tests.page.browser import Tab

BEGAN = datetime(2026, 11, 27, 8, 0, tzinfo=UTC)


@dataclass
class Log:
    """An event log, oldest line first, and how the app answers about it."""

    lines: list[dict[str, object]] = field(default_factory=list)
    page_size: int = 100
    refusals: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    """Statuses and headers by kind of request: "newest" or "older"."""
    asked: list[int] = field(default_factory=list)
    """The number of newer lines that each request leaves out."""

    def add(self, message: str, event_type: str = "flow_progress") -> None:
        at = (BEGAN + timedelta(seconds=len(self.lines))).isoformat().replace("+00:00", "Z")
        line: dict[str, object] = {
            "time": at,
            "level": "INFO",
            "eventType": event_type,
            "message": message,
            "errors": [],
        }
        self.lines.append(line)

    def add_many(self, count: int) -> None:
        for _ in range(count):
            self.add(f"line {len(self.lines)}")

    def answer(self, route: Route) -> None:
        """A continuation is the number of lines that are older than the answers before it."""
        given = parse_qs(urlsplit(route.request.url).query).get("continuation")
        refusal = self.refusals.get("older" if given else "newest")
        if refusal is not None:
            route.fulfill(status=refusal[0], headers=refusal[1], json={"detail": "Not now."})
            return
        end = int(given[0]) if given else len(self.lines)
        self.asked.append(len(self.lines) - end)
        begin = max(0, end - self.page_size)
        items = self.lines[begin:end][::-1]
        route.fulfill(json={"items": items, "continuation": str(begin) if begin else None})


def open_progress(tab: Tab, app: ServedApp, *, is_finished: bool = False) -> Locator:
    """Open a run, and return the part of the page that shows its progress."""
    pipeline_id = app.databricks.add_pipeline()
    run_id = app.start(pipeline_id).json["runId"]
    if is_finished:
        app.databricks.set_state(pipeline_id, None, "COMPLETED")
        app.fire("sweep_runs")
    page = tab.open(f"#/runs/{run_id}")
    progress = page.locator("section", has=page.get_by_role("heading", name="Progress"))
    expect(progress).to_be_visible()
    return progress
