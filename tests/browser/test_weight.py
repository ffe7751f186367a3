"""What the page costs: bytes over the wire, time to the first paint, and many runs."""

from __future__ import annotations

import time

import pytest
from playwright.async_api import Page, expect

from services.gateway.page.files import FOLDER, files
from tests.browser.conftest import Visitor
from tests.browser.sample_gateway import Sample
from tests.support.report import summary

MOST_BYTES = 300_000
SLOWDOWN = 4
FIRST_PAINT_MS = 3000
MANY = 100_000


async def test_the_page_is_small_over_the_wire(
    page: Page, visitor: Visitor, pytestconfig: pytest.Config
) -> None:
    session = await visitor.context.new_cdp_session(page)
    await session.send("Network.enable")
    received: list[int] = []
    session.on("Network.loadingFinished", lambda it: received.append(it["encodedDataLength"]))
    await visitor.open("/")
    await expect(page.get_by_role("img", name="Cost in each")).to_be_visible()
    kept = sum(
        len(file.packed)
        for path in FOLDER.rglob("*")
        if path.is_file() and (file := files().get(path.relative_to(FOLDER).as_posix()))
    )
    summary(pytestconfig)["page, over the wire"] = (
        f"{sum(received) / 1000:.0f} kB with the overview's data; all files {kept / 1000:.0f} kB"
    )
    assert sum(received) < MOST_BYTES
    assert kept < MOST_BYTES


async def test_a_slow_processor_paints_soon(
    page: Page, visitor: Visitor, pytestconfig: pytest.Config
) -> None:
    session = await visitor.context.new_cdp_session(page)
    await session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWDOWN})
    await visitor.open("/")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    shown = await page.evaluate(
        "performance.getEntriesByName('first-contentful-paint')[0].startTime"
    )
    ready = await page.evaluate("performance.now()")
    summary(pytestconfig)[f"page, processor {SLOWDOWN} times slower"] = (
        f"first paint after {shown:.0f} ms, the overview within {ready:.0f} ms"
    )
    assert shown < FIRST_PAINT_MS


class TestManyRuns:
    @pytest.fixture
    def sample(self) -> Sample:
        return Sample(listed=MANY, steps=10)

    async def test_a_hundred_thousand_runs_are_listed_and_searched(
        self, page: Page, visitor: Visitor, pytestconfig: pytest.Config, sample: Sample
    ) -> None:
        await visitor.open("/runs")
        await expect(page.locator("tbody tr")).to_have_count(50)
        last = sample.runs[MANY]["run_id"]
        began = time.perf_counter()
        await page.get_by_role("searchbox").fill(last)
        await expect(page.locator("tbody tr")).to_have_count(1)
        took = time.perf_counter() - began
        summary(pytestconfig)["page, 100,000 runs"] = f"the oldest found {took:.2f} s after typing"
        await page.get_by_role("link", name="Clear filters").click()
        await page.get_by_role("link", name="Older").click()
        await expect(page.get_by_role("link", name="← Newest")).to_be_visible()
        await expect(page.locator("tbody tr")).to_have_count(50)
