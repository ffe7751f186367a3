"""A run's timeline: what only Hutch knows, steps on demand, and 10,000 of them."""

from __future__ import annotations

import pytest
from playwright.async_api import CDPSession, Page, expect

from tests.browser.conftest import Visitor
from tests.support.report import summary

FRAME_MS = 1000 / 60
FRAMES = 120
SCROLL = """async () => {
  const box = document.querySelector('.rows');
  const frames = [];
  let last = performance.now();
  for (let at = 0; at < FRAMES; at += 1) {
    box.scrollTop += at < 60 ? 240 : 2500;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - last);
    last = now;
  }
  frames.sort((a, b) => a - b);
  return {longest: frames.at(-1), p95: frames[Math.floor(frames.length * 0.95)]};
}"""


async def test_it_shows_takeover_postponement_and_the_worker_s_run_in_place(
    page: Page, visitor: Visitor
) -> None:
    await visitor.open("/runs/a1c0ffee01")
    grid = page.get_by_role("treegrid", name="Steps")
    await expect(grid.get_by_role("row", name="taken over by alice.7f3a90c2")).to_be_visible()
    rows = await grid.get_by_role("row").count()
    bob = grid.get_by_role("row", name="bob")
    await expect(bob).to_have_attribute("aria-expanded", "false")
    await bob.locator(".toggle").click()
    await expect(grid.get_by_role("row", name="rate limited")).to_have_attribute("aria-level", "3")
    assert await grid.get_by_role("row").count() == rows + 6
    legend = page.get_by_role("list", name="Kinds of bars")
    await expect(legend).to_contain_text("process dead")


async def test_a_long_gap_is_folded_and_unfolds(page: Page, visitor: Visitor) -> None:
    await visitor.open("/runs/a1c0ffee01")
    fold = page.locator(".fold-label")
    await expect(fold).to_have_text("29 s")
    dead = page.locator(".row .bar.dead").last
    before = await dead.bounding_box()
    await page.get_by_label("Fold gaps").uncheck()
    await expect(fold).to_have_count(0)
    after = await dead.bounding_box()
    assert before
    assert after
    assert after["width"] < before["width"]


async def test_a_step_shows_input_and_output_side_by_side_and_they_can_be_copied(
    page: Page, visitor: Visitor
) -> None:
    await visitor.open("/runs/a1c0ffee01")
    await page.get_by_role("row", name="send_mail").click()
    details = page.get_by_role("region", name="tool: send_mail")
    await expect(details.get_by_label("Input", exact=True)).to_contain_text('"order": 4711')
    await details.get_by_role("button", name="Copy the output").click()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied == "Order 4711 left the warehouse on Monday."
    await page.reload()
    await expect(page.get_by_role("region", name="tool: send_mail")).to_be_visible()


async def test_zooming_in_keeps_the_active_step_in_sight(page: Page, visitor: Visitor) -> None:
    await visitor.open("/runs/1009576b00")
    await page.get_by_role("treegrid").focus()
    await page.keyboard.press("End")
    for _ in range(6):
        await page.get_by_role("button", name="Zoom in").click()
    await expect(page.locator(".row.active .bar")).to_be_visible()
    await page.get_by_role("treegrid").focus()
    await page.keyboard.press("Home")
    await page.keyboard.press("ArrowDown")
    await expect(page.locator(".row.active .bar")).to_be_visible()
    await expect(page.locator(".ruler .tick").last).to_contain_text("s")


async def test_the_keyboard_opens_a_worker_and_a_step(page: Page, visitor: Visitor) -> None:
    await visitor.open("/runs/a1c0ffee01")
    grid = page.get_by_role("treegrid", name="Steps")
    await grid.focus()
    await page.keyboard.press("ArrowDown")
    while "bob" not in await page.locator(".row.active").inner_text():
        await page.keyboard.press("ArrowDown")
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("region", name="model: gpt-5-mini")).to_be_visible()
    await page.keyboard.press("ArrowLeft")
    await page.keyboard.press("ArrowLeft")
    await expect(grid.get_by_role("row", name="bob")).to_have_attribute("aria-expanded", "false")


async def test_ten_thousand_steps_scroll_smoothly(
    page: Page, visitor: Visitor, pytestconfig: pytest.Config
) -> None:
    await visitor.open("/runs/1009576b00")
    await expect(page.get_by_text("1 run, 10,000 steps")).to_be_visible()
    await expect(page.get_by_role("treegrid")).to_have_attribute("aria-rowcount", "10001")
    assert await page.get_by_role("row").count() < 80
    session = await visitor.context.new_cdp_session(page)
    # Processor time, because how long a frame takes depends on what else this machine does.
    await session.send("Performance.enable", {"timeDomain": "threadTicks"})
    before = await _processor_ms(session)
    found = await page.evaluate(SCROLL.replace("FRAMES", str(FRAMES)))
    per_frame = (await _processor_ms(session) - before) / FRAMES
    summary(pytestconfig)["page, 10,000 steps scrolled"] = (
        f"{per_frame:.1f} ms of processor time a frame; "
        f"longest frame {found['longest']:.0f} ms, p95 {found['p95']:.0f} ms"
    )
    assert per_frame < FRAME_MS
    await page.get_by_role("searchbox", name="Find a step").fill("read_ticket")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Enter")
    await expect(page.locator(".row.active")).to_have_attribute("aria-rowindex", "5")
    await page.get_by_role("treegrid").focus()
    await page.keyboard.press("End")
    await expect(page.locator(".row.active")).to_have_attribute("aria-rowindex", "10001")


async def _processor_ms(session: CDPSession) -> float:
    """What the page's main thread has used."""
    metrics = (await session.send("Performance.getMetrics"))["metrics"]
    return float(next(it["value"] for it in metrics if it["name"] == "TaskDuration")) * 1000
