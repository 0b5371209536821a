"""The view of health, where the network of the browser plays an app with sweeps of another time and version."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from playwright.sync_api import expect

from tests.page.browser import Tab


def _health(checks: dict[str, tuple[bool, str]], sweep: dict[str, str | None] | None = None) -> dict[str, object]:
    found = [{"name": name, "ok": ok, "message": message} for name, (ok, message) in checks.items()]
    is_well = all(ok for ok, _ in checks.values())
    workspaces = {"a": {"lastSweep": sweep}}
    return {"status": "ok" if is_well else "failing", "version": "2", "checks": found, "workspaces": workspaces}


def test_the_age_of_a_sweep_is_counted_from_the_sweep_and_its_version_is_named(tab: Tab) -> None:
    """The answer may be older than it says, for example out of a gateway."""
    at = (datetime.now(UTC) - timedelta(minutes=3)).isoformat()
    answer = _health(
        {"sweep a": (True, "5 s ago, 2 runs"), "sweep b": (True, "7 s ago, 1 run")}, {"at": at, "version": "1"}
    )
    tab.page.route("**/api/health", lambda route: route.fulfill(json=answer))
    page = tab.open("#/health")
    rows = page.locator("table.checks tbody tr")
    expect(rows.filter(has_text="sweep a")).to_contain_text(
        re.compile(r"OK3 min( \d+ s)? ago, 2 runs \(by version 1\)")
    )
    expect(rows.filter(has_text="sweep b")).to_contain_text(re.compile(r"OK\d+ s ago, 1 run$"))


def test_health_is_read_again_and_counts_what_fails(tab: Tab) -> None:
    page = tab.page
    well = _health({"storage": (True, "answers"), "settings": (True, "valid")})
    ill = _health({"storage": (False, "is silent"), "settings": (True, "valid")})
    page.route("**/api/health", lambda route: route.fulfill(json=well))
    tab.open("#/health")
    expect(page.get_by_role("status").filter(has_text="All is well")).to_contain_text("All 2 checks pass.")
    page.unroute("**/api/health")
    page.route("**/api/health", lambda route: route.fulfill(status=503, json=ill))
    tab.pass_time(16)
    expect(page.get_by_role("status").filter(has_text="Failing")).to_contain_text("1 of 2 checks fail.")


def test_every_view_learns_of_a_failing_check_within_a_minute(tab: Tab) -> None:
    page = tab.page
    page.route("**/api/health", lambda route: route.fulfill(json=_health({"storage": (True, "answers")})))
    tab.open("#/jobs")
    expect(page.get_by_text("Updated")).to_be_visible()
    expect(page.get_by_role("link", name="Health failing")).to_have_count(0)
    page.unroute("**/api/health")
    page.route("**/api/health", lambda route: route.fulfill(json=_health({"storage": (False, "is silent")})))
    tab.pass_time(61)
    expect(page.get_by_role("link", name="Health failing")).to_be_visible()
