"""The page of a real gateway, in front of real agents."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Visitor
from tests.support import gateway
from tests.support.processes.agents import calling, define
from tests.support.processes.running import Child, System, until
from tests.support.processes.shop import BELOW
from tests.support.processes.shop import define as define_shop

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-3.10"], indirect=True)

PATIENCE_MS = 60_000
EMAIL = calling("bob", "[[latency 6]]Write an email.")
SLOW_TOOL = '''
import time

def pay(order: int) -> str:
    """Pays an order."""
    time.sleep(600)
    return "paid"
'''


@pytest.fixture
def page(visitor: Visitor, system: System) -> Page:
    """A page of a gateway's process, which needs no key on this machine."""
    _, visitor.base = gateway.gateway(system)
    visitor.page.set_default_timeout(PATIENCE_MS)
    expect.set_options(PATIENCE_MS)
    return visitor.page


async def wait_until(what: Callable[[], object]) -> None:
    await asyncio.to_thread(until, what)


async def ask(page: Page, visitor: Visitor, agent: str, text: str) -> None:
    await visitor.open(f"/ask?agent={agent}")
    await page.get_by_label("What should be done").fill(text)
    await page.get_by_role("button", name="Send").click()


def owner(*replicas: Child) -> Child | None:
    return next((it for it in replicas if "run started" in it.output), None)


async def test_the_tree_grows_to_the_answer_although_the_worker_is_killed(
    page: Page, visitor: Visitor, system: System
) -> None:
    both = await asyncio.to_thread(system.agents, "bob", "bob")
    await asyncio.to_thread(system.agents, "alice")
    await ask(page, visitor, "alice", EMAIL)
    grid = page.get_by_role("treegrid", name="Steps")
    bob = grid.get_by_role("row", name="bob")
    await expect(bob).to_contain_text("running")
    await bob.locator(".toggle").click()
    await wait_until(lambda: owner(*both))
    killed = owner(*both)
    assert killed is not None
    killed.kill()
    await expect(grid.get_by_role("row", name="died, taken over by bob.")).to_be_visible()
    await expect(grid.locator(".bar.dead").first).to_be_visible()
    await expect(page.get_by_role("region", name="Answer", exact=True)).to_contain_text(
        "bob returned"
    )
    await expect(page.locator(".freshness")).to_have_text("Complete")
    await page.get_by_role("link", name="Open the run").click()
    await expect(page.locator(".outcome .status")).to_have_text("✓ok")
    await page.get_by_role("link", name="Runs", exact=True).click()
    await expect(page.get_by_role("row", name="ok bob")).to_contain_text("by an agent")


async def test_a_dead_letter_is_replayed_with_what_the_tool_had_returned(
    page: Page, visitor: Visitor, system: System, agents: Path
) -> None:
    (agents / "tools").mkdir()
    (agents / "tools" / "orders.py").write_text(SLOW_TOOL, "utf-8")
    define(agents, system, carol="tools: [orders.py:pay]")
    [carol] = await asyncio.to_thread(system.agents, "carol")
    await ask(page, visitor, "carol", '[[call pay {"order": 17}]]')
    grid = page.get_by_role("treegrid", name="Steps")
    await expect(grid.get_by_role("row", name="pay")).to_be_visible()
    carol.kill()
    await asyncio.to_thread(system.agents, "carol")
    await page.get_by_role("link", name="Open the run").click()
    await page.get_by_role("link", name="Dead letters").last.click()
    await page.get_by_role("link", name="[[call pay").click()
    await page.get_by_label("What the tool returned").fill("paid on Monday")
    await page.get_by_role("button", name="The tool had acted").click()
    await page.get_by_role("dialog").get_by_role("button", name="Replay").click()
    await expect(page.locator(".outcome .status")).to_have_text("✓ok")
    await page.get_by_role("row", name="pay").last.click()
    await expect(page.get_by_label("Output", exact=True)).to_contain_text("paid on Monday")
    await page.get_by_role("link", name="Dead letters").last.click()
    await expect(page.get_by_text("No dead letters.")).to_be_visible()


async def test_a_call_below_a_worker_is_approved_where_the_task_is_looked_at(
    page: Page, visitor: Visitor, system: System, agents: Path
) -> None:
    shop = define_shop(system, agents)
    await asyncio.to_thread(system.agents, "carol", "alice")
    await ask(page, visitor, "alice", BELOW)
    request = page.get_by_role("article", name="carol wants to call pay")
    await expect(request.get_by_label("Arguments of pay")).to_contain_text('"order": 17')
    await expect(request.locator(".path")).to_have_text("alice → carol")
    await expect(page.get_by_role("link", name="Approvals 1")).to_be_visible()
    assert shop.paid == []
    await request.get_by_label("Note").fill("He has called.")
    await request.get_by_role("button", name="Approve").click()
    await expect(page.get_by_text("Approved: pay of carol.")).to_be_visible()
    await expect(page.get_by_role("region", name="Answer", exact=True)).to_contain_text(
        "order 17 is paid"
    )
    await expect(page.locator(".freshness")).to_have_text("Complete")
    assert shop.paid == ["17"]
    grid = page.get_by_role("treegrid", name="Steps")
    await grid.get_by_role("row", name="carol").locator(".toggle").click()
    await grid.get_by_role("row", name="approval of pay").click()
    await expect(page.locator(".details")).to_contain_text("He has called.")


async def test_each_view_of_a_real_system_opens(
    page: Page, visitor: Visitor, system: System
) -> None:
    await asyncio.to_thread(system.agents, "alice", "bob")
    await ask(page, visitor, "alice", EMAIL.replace("[[latency 6]]", ""))
    await expect(page.locator(".freshness")).to_have_text("Complete")
    for name in ("Overview", "Runs", "Dead letters", "Schedules", "Agents"):
        await page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
        await expect(page.get_by_role("heading", level=1)).to_have_text(name)
        await expect(page.locator(".loading")).to_have_count(0)
        await expect(page.locator(".freshness")).to_have_text("Live")
    await page.get_by_role("link", name="alice", exact=True).click()
    await expect(page.get_by_label("Definition", exact=True)).to_contain_text("name: alice")
    await page.get_by_role("button", name="Pause").click()
    await page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    await expect(page.locator(".outcome .status")).to_contain_text("paused")
    await page.get_by_role("button", name="Unpause").click()
    await expect(page.locator(".outcome .status")).to_contain_text("idle")


async def test_a_key_that_may_only_read_shows_runs_and_sends_nothing(
    page: Page, visitor: Visitor, system: System
) -> None:
    added = await asyncio.to_thread(system.hutch, "keys", "add", "screen", "--scope", "read")
    await visitor.open("/runs")
    await page.get_by_label("API key").fill(added.stdout.strip())
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("No run yet.")).to_be_visible()
    await expect(page.get_by_text("screen", exact=True)).to_be_visible()
    await page.get_by_role("link", name="Ask", exact=True).click()
    await expect(page.get_by_role("button", name="Send")).to_be_disabled()
    cookies = await visitor.context.cookies()
    assert [(it["httpOnly"], it["sameSite"]) for it in cookies] == [(True, "Strict")]
