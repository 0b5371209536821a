"""The view of one run: watched to its end, cancelled, started again, and why it failed."""

from __future__ import annotations

from playwright.sync_api import expect

from local.receiver import Receiver
from tests.functions.app import ServedApp
from tests.page.browser import Tab
from tests.page.runs import badge, open_run, see_state

OLDEST_ANSWER_SECONDS = 5
"""The app answers all readers of a run's events with one answer for so long."""
HOSTILE = "<img src=x onerror=\"document.title='owned'\"> <b>&amp; 'orders'"


def test_a_start_is_watched_to_its_end(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="watched")
    app.post("/api/jobs/discover")
    page = tab.open("#/jobs")
    page.get_by_role("button", name="Start watched …").click()
    page.get_by_role("dialog").get_by_role("button", name="Start watched").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("watched")
    words = (("INITIALIZING", "Waiting (Unknown)"), ("RUNNING", "Running"), ("COMPLETED", "Success"))
    for state, word in words:
        see_state(tab, app, pipeline_id, state)
        expect(badge(page)).to_have_text(word)
        expect(page.locator(".big .state")).to_have_text([state] if "Unknown" in word else [])
        expect(page.get_by_role("status").filter(has_text="watched: ")).to_have_text(f"watched: {word}, {state}")
    expect(page.get_by_role("button", name="Cancel this run …")).to_have_count(0)
    assert [update.full_refresh for update in app.databricks.updates_of(pipeline_id)] == [False]


def test_a_cancel_names_what_it_hits_and_stops_that(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="to stop")
    app.post("/api/jobs/discover")
    page = open_run(tab, app, pipeline_id)
    update_id = app.databricks.updates_of(pipeline_id)[0].update_id
    page.get_by_role("button", name="Cancel this run …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(f"{pipeline_id}:{update_id}")
    expect(dialog).to_contain_text(app.name)
    dialog.get_by_role("button", name="Let it run").click()
    expect(dialog).to_have_count(0)
    assert app.databricks.updates_of(pipeline_id)[0].state == "CREATED"
    page.get_by_role("button", name="Cancel this run …").click()
    dialog.get_by_role("button", name=f"Cancel run {update_id[:8]} of to stop").click()
    expect(dialog).to_have_count(0)
    told = page.get_by_role("status").filter(has_text="The cancel is requested. It may take some minutes.")
    expect(told).to_be_focused()
    expect(page.get_by_role("button", name="Cancel requested")).to_be_disabled()
    expect(page.locator(".big .tag")).to_have_text("cancel requested")
    see_state(tab, app, pipeline_id, "CANCELED")
    expect(badge(page)).to_have_text("Cancelled")
    expect(page.locator(".facts")).to_contain_text("Cancelled by")


def test_a_failed_run_shows_its_reason_in_full(tab: Tab, app: ServedApp) -> None:
    reason = "\n".join(f"line {number} of a long reason" for number in range(12))
    pipeline_id = app.databricks.add_pipeline(name="failing", failures=[("org.example.Failure", reason)])
    page = open_run(tab, app, pipeline_id)
    see_state(tab, app, pipeline_id, "FAILED")
    expect(badge(page)).to_have_text("Failed")
    expect(page.locator("section[aria-label=Status] .reason")).to_contain_text("line 11 of a long reason")


def test_hostile_names_and_reasons_are_text(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name=HOSTILE, failures=[("<script>", f"{HOSTILE} is the reason")])
    app.post("/api/jobs/discover")
    page = open_run(tab, app, pipeline_id)
    see_state(tab, app, pipeline_id, "FAILED")
    expect(page.get_by_role("heading", level=1)).to_have_text(HOSTILE)
    expect(page.locator("section[aria-label=Status] .reason")).to_contain_text(f"{HOSTILE} is the reason")
    for address in ("#/runs", "#/jobs", f"#/jobs/{pipeline_id}"):
        tab.open(address)
        expect(page.get_by_text(HOSTILE).first).to_be_visible()
    assert page.locator("img, main script").count() == 0
    assert "owned" not in page.title()


def test_only_an_address_of_https_is_a_link_to_databricks(tab: Tab, app: ServedApp) -> None:
    page = open_run(tab, app, app.databricks.add_pipeline())
    expect(page.locator(".facts", has_text=app.databricks.url).first).to_be_visible()
    links = page.locator("a").evaluate_all("all => all.map(a => a.href)")
    assert [link for link in links if not link.startswith(app.base_url)] == [], "the simulated workspace has http"
    safe = "import('./page/address.js').then(m => [{}].map(m.safeLink))"
    given = ["https://adb-1.azuredatabricks.net/x", "http://a.example", "javascript:alert(1)", "//a.example", "data:,x"]
    assert page.evaluate(safe.format(",".join(map(repr, given)))) == [given[0], None, None, None, None]


def test_a_full_refresh_starts_only_after_the_name_was_typed(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="all of it")
    app.post("/api/jobs/discover")
    page = open_run(tab, app, pipeline_id, {"full_refresh": True})
    see_state(tab, app, pipeline_id, "COMPLETED")
    page.get_by_role("button", name="Start again …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Yes: empty the tables")).to_be_checked()
    agree = dialog.get_by_role("button", name="Start the full refresh of all of it")
    expect(agree).to_be_disabled()
    dialog.get_by_label("To confirm").fill("all of  it?")
    expect(agree).to_be_disabled()
    dialog.get_by_label("To confirm").fill("all of it")
    agree.click()
    expect(dialog).to_have_count(0)
    assert [update.full_refresh for update in app.databricks.updates_of(pipeline_id)] == [True, True]
    assert app.databricks.updates_of(pipeline_id)[1].update_id in page.url


def test_a_run_shows_its_start_options_and_starts_again_with_them(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="some tables")
    app.post("/api/jobs/discover")
    page = open_run(tab, app, pipeline_id, {"refresh_selection": ["orders", "lines"]})
    expect(page.get_by_text("refresh_selection: orders, lines")).to_be_visible()
    see_state(tab, app, pipeline_id, "FAILED")
    page.get_by_role("button", name="Start again …").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("refresh_selection", exact=False).and_(page.locator("textarea"))).to_have_value(
        "orders\nlines"
    )
    dialog.get_by_role("button", name="Start some tables with these options").click()
    expect(dialog).to_have_count(0)
    posts = [call.body for call in app.databricks.calls("POST", "/pipelines/{id}/updates") if pipeline_id in call.path]
    assert [body["refresh_selection"] for body in posts] == [["orders", "lines"]] * 2


def test_a_start_beside_an_active_run_leads_to_that_run(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="taken")
    app.post("/api/jobs/discover")
    run_id = app.start(pipeline_id).json["runId"]
    page = tab.open(f"#/jobs/{pipeline_id}")
    page.get_by_role("button", name="Start …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Start taken").click()
    expect(dialog.get_by_role("alert")).to_contain_text("is active")
    dialog.get_by_role("link", name="Open the active run").click()
    expect(badge(page)).to_be_visible()
    assert run_id in page.url
    expect(dialog).to_have_count(0)


def test_an_abandoned_run_is_given_up_and_databricks_is_asked_for_nothing(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="stuck")
    page = open_run(tab, app, pipeline_id)
    page.get_by_role("button", name="Give up …").click()
    page.get_by_role("dialog").get_by_role("button", name="Give up run").click()
    expect(badge(page)).to_have_text("Given up (Unknown)")
    expect(page.locator("section[aria-label=Status]")).to_contain_text("RunAbandoned")
    assert app.databricks.updates_of(pipeline_id)[0].state == "CREATED"


def test_callbacks_show_their_tries_and_last_error_and_are_sent_again(
    tab: Tab, app: ServedApp, hooks: Receiver
) -> None:
    pipeline_id = app.databricks.add_pipeline(name="told")
    hooks.status = 410
    page = open_run(tab, app, pipeline_id, {"callbackUrl": hooks.url()})
    see_state(tab, app, pipeline_id, "COMPLETED")
    app.fire("deliver_callbacks")
    row = page.locator("section", has=page.get_by_role("heading", name="Callbacks")).locator("tbody tr")
    tab.pass_time(5)
    expect(row).to_contain_text("given up")
    expect(row).to_contain_text("HTTP 410")
    hooks.status = 200
    page.get_by_role("button", name="Send its callbacks again").click()
    expect(page.get_by_role("status").filter(has_text="The callbacks are sent again.")).to_be_visible()
    expect(row).to_contain_text("due")
    app.fire("deliver_callbacks")
    tab.pass_time(5)
    expect(row).to_contain_text("delivered")


def test_an_unknown_run_says_so_and_what_to_do(tab: Tab) -> None:
    page = tab.open("#/runs/p1:u1")
    expect(page.get_by_role("alert")).to_contain_text("There is no run p1:u1. Check the address")
    expect(page.get_by_role("navigation", name="Place").get_by_role("link", name="Runs")).to_be_visible()


def test_the_phases_and_the_event_log_of_a_run_are_followed_live(tab: Tab, app: ServedApp) -> None:
    pipeline_id = app.databricks.add_pipeline(name="logged", failures=[("org.example.Failure", "the whole reason")])
    page = open_run(tab, app, pipeline_id)
    progress = page.locator("section", has=page.get_by_role("heading", name="Progress"))
    for state in ("WAITING_FOR_RESOURCES", "RUNNING"):
        app.databricks.set_state(pipeline_id, None, state)
        page.wait_for_timeout(20)
    phases = progress.get_by_role("rowheader")
    app.databricks.add_event(
        pipeline_id,
        message="Flow 'orders' is SLOW.",
        level="WARN",
        update_id=app.databricks.updates_of(pipeline_id)[0].update_id,
    )
    see_state(tab, app, pipeline_id, "FAILED")
    expect(badge(page)).to_have_text("Failed")
    tab.pass_time(6)
    page.wait_for_timeout(OLDEST_ANSWER_SECONDS * 1000)
    tab.pass_time(6)
    expect(phases).to_have_text(["CREATED", "WAITING_FOR_RESOURCES", "RUNNING"])
    expect(progress.get_by_role("listitem").first).to_contain_text("is FAILED.")
    expect(progress.get_by_role("listitem").first).to_contain_text("org.example.Failure: the whole reason")
    progress.get_by_label("Level").select_option("WARN")
    expect(progress.get_by_role("listitem")).to_have_count(1)
    expect(progress.get_by_role("listitem")).to_contain_text("Flow 'orders' is SLOW.")
