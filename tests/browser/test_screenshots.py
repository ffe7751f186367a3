"""The pictures of README.md. `make screenshots` writes them; otherwise they are only made."""

from __future__ import annotations

import os

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.sample_gateway import Sample
from tests.support.repository import REPOSITORY

FOLDER = REPOSITORY / "docs" / "images"
MOST_BYTES = 100_000
WRITTEN = bool(os.environ.get("HUTCH_SCREENSHOTS"))
WIDTH, HEIGHT = 1100, 700
PICTURES = {
    "overview": ("/", "light", ".plot canvas"),
    "run": ("/runs/a1c0ffee01", "light", ".row"),
    "ask": ("/ask?agent=alice", "dark", "textarea"),
}


@pytest.fixture
def sample() -> Sample:
    return Sample(steps=10)


@pytest.mark.parametrize("name", PICTURES)
async def test_a_picture_for_the_readme_is_small(name: str, page: Page, visitor: Visitor) -> None:
    path, theme, waits_for = PICTURES[name]
    await page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    await visitor.open(path)
    await expect(page.locator(waits_for).first).to_be_visible()
    if name == "run":
        await page.get_by_role("button", name="Open all").click()
        await page.get_by_role("heading", name="Timeline").evaluate("it => it.scrollIntoView()")
        await page.mouse.wheel(0, -70)
    if name == "ask":
        await page.get_by_label("What should be done").fill("Ask Bob for an email about the party.")
        await page.get_by_role("button", name="Send").click()
        await expect(page.get_by_role("region", name="Answer", exact=True)).to_contain_text(
            "Subject"
        )
        await page.get_by_role("button", name="Dismiss").click()
    await expect(page.locator(".freshness")).to_be_visible()
    picture = await page.screenshot()
    assert len(picture) < MOST_BYTES
    if WRITTEN:
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / f"{name}.png").write_bytes(picture)
    assert (FOLDER / f"{name}.png").stat().st_size < MOST_BYTES
