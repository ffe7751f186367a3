"""The page while things happen: answers that come, and a gateway that is gone."""

from __future__ import annotations

import asyncio

from playwright.async_api import Page, Route, expect

from tests.browser.conftest import Visitor
from tests.browser.sample_gateway import Sample


async def test_an_answer_streams_and_the_tree_grows(
    page: Page, visitor: Visitor, sample: Sample
) -> None:
    await visitor.open("/ask?agent=alice")
    await page.get_by_label("What should be done").fill("Ask Bob for an email.")
    await page.get_by_text("Budget, context, time").click()
    await page.get_by_label("Model calls").fill("20")
    await page.keyboard.press("Control+Enter")  # only in the text
    await page.get_by_role("button", name="Send").click()
    answer = page.get_by_role("region", name="Answer", exact=True)
    await expect(answer).to_contain_text("The party is")
    grid = page.get_by_role("treegrid", name="Steps")
    await expect(grid.get_by_role("row", name="bob")).to_be_visible()
    await expect(answer).to_contain_text("Subject: Summer party")
    await expect(page.locator(".freshness")).to_have_text("Complete")
    method, path, body = sample.requests[0]
    assert (method, path) == ("POST", "/api/tasks")
    assert body == {
        "agent": "alice",
        "content": "Ask Bob for an email.",
        "budget": {"model_calls": 20},
        "stream": True,
        "wait": 0,
    }
    await page.reload()
    await expect(page.get_by_role("region", name="Answer", exact=True)).to_contain_text("Subject")


async def test_an_ended_run_stays_complete_when_a_list_of_the_form_comes_later(
    page: Page, visitor: Visitor
) -> None:
    complete = asyncio.Event()

    async def hold(route: Route) -> None:
        await complete.wait()
        await route.continue_()

    await page.route("**/api/overview", hold)
    await visitor.open("/ask?agent=alice&run=a1c0ffee01&task=party")
    await expect(page.locator(".freshness")).to_have_text("Complete")
    complete.set()
    agents = page.get_by_role("combobox", name="Agent", exact=True)
    await expect(agents.locator("option", has_text="tom")).to_be_attached()
    await expect(page.locator(".freshness")).to_have_text("Complete")


async def test_a_swarm_hears_a_broadcast_and_an_agent_is_woken(
    page: Page, visitor: Visitor, sample: Sample
) -> None:
    await visitor.open("/ask")
    await page.get_by_role("combobox", name="Message", exact=True).select_option("broadcast")
    await page.get_by_label("Text").fill("A new day.")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_text("Sent to the swarm.")).to_be_visible()
    await page.get_by_role("combobox", name="Message", exact=True).select_option("trigger")
    await page.get_by_role("combobox", name="Agent", exact=True).select_option("tom")
    await page.get_by_role("button", name="Send").click()
    await expect(page.get_by_role("treegrid", name="Steps")).to_be_visible()
    assert sample.requests == [
        ("POST", "/api/swarms/research/messages", {"content": "A new day."}),
        ("POST", "/api/triggers", {"agent": "tom", "content": "A new day."}),
    ]


async def test_a_form_is_filled_from_an_earlier_message(page: Page, visitor: Visitor) -> None:
    await visitor.open("/ask")
    await page.get_by_label("Begin with").select_option("a1c0ffee01")
    await expect(page.get_by_label("What should be done")).to_have_value(
        "Ask Bob for an email about the summer party, and Carol whether drinks are ordered."
    )
    await expect(page.get_by_label("Session")).to_have_value("party-2026")


async def test_messages_move_along_the_edges_of_the_graph(page: Page, visitor: Visitor) -> None:
    await visitor.open("/")
    await expect(page.locator(".move.ask").first).to_be_attached()
    await expect(page.locator(".move.answer").first).to_be_attached()
    await expect(page.locator(".move.note").first).to_be_attached()


async def test_the_page_says_that_it_is_stale_and_goes_on_by_itself(
    page: Page, visitor: Visitor, sample: Sample
) -> None:
    await visitor.open("/agents")
    fresh = page.locator(".freshness")
    await expect(fresh).to_have_text("Live")
    sample.available = False
    await expect(fresh).to_contain_text("Stale since")
    await expect(page.get_by_role("link", name="alice", exact=True)).to_be_visible()
    sample.available = True
    await expect(fresh).to_have_text("Live")


async def test_a_view_that_can_t_be_loaded_says_why(
    page: Page, visitor: Visitor, sample: Sample
) -> None:
    sample.available = False
    await visitor.open("/runs")
    await expect(page.get_by_role("alert")).to_contain_text("The store is unavailable.")
    sample.available = True
    await expect(page.locator("tbody tr").first).to_be_visible()


async def test_a_run_that_is_not_there_is_not_asked_for_again(
    page: Page, visitor: Visitor, sample: Sample
) -> None:
    await visitor.open("/runs/nothing")
    await expect(page.get_by_role("alert")).to_contain_text("There is no run 'nothing'.")
    await expect(page.locator(".freshness")).to_have_text("Complete")


async def test_a_run_is_cancelled_after_a_question(
    page: Page, visitor: Visitor, sample: Sample
) -> None:
    sample.by_id["a1c0ffee01"] |= {"status": "running", "ended_at": None}
    await visitor.open("/runs/a1c0ffee01")
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await page.get_by_role("dialog").get_by_role("button", name="Cancel the run").click()
    await expect(page.get_by_text("The run is cancelled.")).to_be_visible()
    assert sample.requests == [("POST", "/api/runs/a1c0ffee01/cancel", {})]
