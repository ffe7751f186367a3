"""Every view: what it shows, that it can be used by keyboard, and by people who see little."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.sample_content import ago, iso
from tests.browser.sample_gateway import Sample

VIEWS = {
    "overview": ("/", "Overview"),
    "runs": ("/runs", "Runs"),
    "run": ("/runs/a1c0ffee01", "Run of alice"),
    "failed run": ("/runs/fa11ed0001", "Run of carol"),
    "parked run": ("/runs/a99407a1ed", "Run of alice"),
    "approvals": ("/approvals", "Approvals"),
    "ask": ("/ask?from=a1c0ffee01", "Ask"),
    "dead letters": ("/dead-letters", "Dead letters"),
    "dead letter": ("/dead-letters/dead0000", "Dead letter"),
    "schedules": ("/schedules", "Schedules"),
    "agents": ("/agents", "Agents"),
    "agent": ("/agents/alice", "alice"),
    "login": ("/login", "Log in"),
}
SERIOUS = {"serious", "critical"}
each_view = pytest.mark.parametrize(
    ("path", "title"), VIEWS.values(), ids=[name.replace(" ", "-") for name in VIEWS]
)


@pytest.mark.parametrize("theme", ["light", "dark"])
@each_view
async def test_axe_finds_nothing_serious_on_a_view(
    path: str, title: str, theme: Any, page: Page, visitor: Visitor, axe: str
) -> None:
    await page.emulate_media(color_scheme=theme)
    await visitor.open(path)
    await expect(page.get_by_role("heading", level=1)).to_have_text(title)
    await page.wait_for_load_state("load")
    await expect(page.locator(".loading")).to_have_count(0)
    if "/runs/" in path:
        await page.get_by_role("row").nth(1).click()
    await page.evaluate(axe)
    found = await page.evaluate("axe.run({resultTypes: ['violations']})")
    serious = [
        {"rule": it["id"], "nodes": [node["html"][:200] for node in it["nodes"][:4]]}
        for it in found["violations"]
        if it["impact"] in SERIOUS
    ]
    assert serious == [], json.dumps(serious, indent=1)


@each_view
async def test_a_view_fits_a_screen_of_360_pixels(
    path: str, title: str, page: Page, visitor: Visitor
) -> None:
    await page.set_viewport_size({"width": 360, "height": 740})
    await visitor.open(path)
    await expect(page.get_by_role("heading", level=1)).to_have_text(title)
    await expect(page.locator(".loading")).to_have_count(0)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 360


async def test_the_deadline_of_a_parked_run_does_not_come_nearer(
    page: Page, visitor: Visitor
) -> None:
    await visitor.open("/runs/a99407a1ed")
    await expect(page.locator(".facts").first).to_contain_text("deadlinestands still")


async def test_filters_are_in_the_address_and_the_back_button_undoes_them(
    page: Page, visitor: Visitor
) -> None:
    await visitor.open("/runs")
    await page.get_by_label("Status").select_option("failed")
    await expect(page.locator("tbody .status").first).to_contain_text("failed")
    assert page.url.endswith("/runs?status=failed")
    await page.get_by_role("searchbox").fill("4711")
    await page.wait_for_url("**/runs?status=failed&q=4711")
    await expect(page.locator("tbody tr").first).to_contain_text("4711")
    await page.reload()
    await expect(page.get_by_role("searchbox")).to_have_value("4711")
    await page.go_back()
    await expect(page.get_by_role("searchbox")).to_have_value("")
    await page.go_back()
    await page.wait_for_url("**/runs")
    await expect(page.get_by_label("Status")).to_have_value("")


async def test_a_link_leads_to_a_view_and_its_heading_takes_the_focus(
    page: Page, visitor: Visitor
) -> None:
    await visitor.open("/")
    await page.get_by_role("link", name="Runs", exact=True).click()
    await page.get_by_role("link", name="Ask Bob for an email").first.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Run of alice")
    assert await page.title() == "Run of alice · Hutch"
    await page.go_back()
    await expect(page.get_by_role("heading", level=1)).to_be_focused()


async def test_the_overview_begins_with_what_needs_a_person(page: Page, visitor: Visitor) -> None:
    await visitor.open("/")
    needs = page.get_by_role("region", name="What needs you").get_by_role("link")
    await expect(needs).to_have_count(5)
    await expect(needs.first).to_contain_text("No process of checker runs")
    node = page.get_by_role("link", name="working, 2 processes, 1 running, 14 queued")
    await expect(node).to_be_visible()
    await expect(page.get_by_role("img", name="Tasks in each of the last 60")).to_be_visible()
    await needs.nth(1).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Dead letters")


async def test_an_agent_is_paused_after_a_question(
    page: Page, visitor: Visitor, sample: Sample
) -> None:
    await visitor.open("/agents/bob")
    await page.get_by_role("button", name="Pause").click()
    await page.get_by_role("dialog").get_by_role("button", name="Keep as it is").click()
    assert sample.requests == []
    await page.get_by_role("button", name="Pause").click()
    await page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    await expect(page.get_by_text("Paused: bob.")).to_be_visible()
    await expect(page.get_by_role("button", name="Unpause")).to_be_visible()
    assert sample.requests == [("POST", "/api/agents/bob/pause", {})]


async def test_a_schedule_runs_now(page: Page, visitor: Visitor, sample: Sample) -> None:
    await visitor.open("/schedules")
    await page.get_by_role("button", name="Run now: tom's observe").click()
    await expect(page.get_by_text("Sent to tom.")).to_be_visible()
    assert sample.requests == [("POST", "/api/schedules/tom/observe/run", {})]


async def test_dead_letters_are_replayed_by_reason_and_dropped_by_choice(
    page: Page, visitor: Visitor, sample: Sample
) -> None:
    await visitor.open("/dead-letters")
    await page.get_by_role("combobox", name="Reason").fill("not JSON")
    await expect(page.get_by_text("8 letters match")).to_be_visible()
    await page.get_by_role("button", name="Replay all").click()
    await expect(page.get_by_role("dialog")).to_contain_text("Replay 8 dead letters?")
    await page.get_by_role("dialog").get_by_role("button", name="Replay").click()
    await expect(page.get_by_text("8 replayed.")).to_be_visible()
    await page.get_by_role("link", name="Clear filters").click()
    await page.get_by_label("Choose dead0000").check()
    await page.get_by_role("button", name="Drop chosen").click()
    await page.get_by_role("dialog").get_by_role("button", name="Drop").click()
    await expect(page.get_by_text("1 dropped.")).to_be_visible()
    replayed, dropped = [body["ids"] for _, _, body in sample.requests]
    assert replayed == [f"dead{number:04d}" for number in range(1, 37, 5)]
    assert dropped == ["dead0000"]


async def test_dead_letters_that_arrive_while_a_person_is_asked_are_left_alone(
    page: Page, visitor: Visitor, sample: Sample
) -> None:
    older = sample.letters[-1]
    sample.letters += [{**older, "id": f"more{number}"} for number in range(20)]
    await visitor.open("/dead-letters")
    await expect(page.get_by_text("57 letters")).to_be_visible()
    await page.get_by_role("button", name="Drop all").click()
    sample.letters.append({**older, "id": "late", "at": iso(ago())})
    await page.get_by_role("dialog").get_by_role("button", name="Drop").click()
    await expect(page.get_by_text("57 dropped.")).to_be_visible()
    assert [it["id"] for it in sample.letters] == ["late"]


async def test_a_person_sees_what_is_asked_and_decides_with_a_note(
    page: Page, visitor: Visitor, sample: Sample
) -> None:
    await visitor.open("/")
    await expect(page.get_by_role("link", name="Approvals 2")).to_be_visible()
    await page.get_by_role("link", name="Approvals").click()
    request = page.get_by_role("article", name="carol wants to call refund")
    await expect(request.get_by_label("Arguments of refund")).to_contain_text('"order": 4711')
    await expect(request.locator(".path")).to_contain_text("alice → carol")
    await expect(request).to_contain_text("<script>document.title='broken into'</script>")
    assert await page.title() == "Approvals · Hutch"
    await request.get_by_label("Note").fill("Ask the customer first.")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("button", name="Deny refund of carol")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Denied: refund of carol.")).to_be_visible()
    await expect(request).to_have_count(0)
    await page.get_by_label("State").select_option("denied")
    denied = page.get_by_role("article", name="carol wanted to call refund")
    await expect(denied).to_contain_text("Ask the customer first.")
    assert sample.requests == [
        (
            "POST",
            "/api/approvals/k7m2-rq4d",
            {"decision": "deny", "note": "Ask the customer first."},
        )
    ]


async def test_the_requests_below_a_run_are_at_its_top_and_at_their_steps(
    page: Page, visitor: Visitor, sample: Sample
) -> None:
    await visitor.open("/runs/a99407a1ed")
    waiting = page.get_by_role("region", name="Waits for your approval")
    await expect(waiting.get_by_role("article")).to_have_count(2)
    await page.get_by_role("row", name="approval of order").click()
    details = page.locator(".details")
    await details.get_by_role("button", name="Approve order of alice").click()
    await expect(page.get_by_text("Approved: order of alice.")).to_be_visible()
    await expect(details).to_contain_text("by operator")
    await expect(waiting.get_by_role("article")).to_have_count(1)


async def test_a_decision_that_another_person_has_made_is_shown(
    page: Page, visitor: Visitor, sample: Sample
) -> None:
    await visitor.open("/approvals")
    request = page.get_by_role("article", name="alice wants to call order")
    await expect(request).to_be_visible()
    sample.approvals[1] |= {"state": "denied", "decided_by": "eve"}
    await request.get_by_role("button", name="Approve").click()
    await expect(page.get_by_text("Already denied by eve.")).to_be_visible()
    await expect(request).to_have_count(0)


async def test_a_person_says_what_an_interrupted_tool_has_returned(
    page: Page, visitor: Visitor, sample: Sample
) -> None:
    await visitor.open("/dead-letters/dead0000")
    await page.get_by_label("What the tool returned").fill("refunded")
    await page.get_by_role("button", name="The tool had acted").click()
    await page.get_by_role("dialog").get_by_role("button", name="Replay").click()
    await page.wait_for_url("**/runs/fa11ed0001")
    assert sample.requests[0][2] == {"ids": ["dead0000"], "tool_done": "refunded"}


async def test_without_a_key_the_page_asks_for_one_and_goes_on_where_it_was(
    page: Page, visitor: Visitor, sample: Sample
) -> None:
    sample.open = False
    await visitor.open("/runs?status=failed")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    await page.get_by_label("API key").fill("hk_wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("alert")).to_have_text("This key is not known, or was revoked.")
    await page.get_by_label("API key").fill("hk_test")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/runs?status=failed")
    await expect(page.locator("tbody .status").first).to_contain_text("failed")
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Log in")


async def test_the_chosen_theme_stays(page: Page, visitor: Visitor) -> None:
    await visitor.open("/")
    await page.get_by_label("Theme").select_option("dark")
    await page.reload()
    await expect(page.get_by_label("Theme")).to_have_value("dark")
    ground = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert ground == "rgb(15, 18, 23)"
