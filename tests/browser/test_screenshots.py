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
WIDTH = 1280
PICTURES = {
    "overview": ("/", "light", 760, ".plot canvas"),
    "run": ("/runs/a1c0ffee01", "light", 1100, ".row"),
    "ask": ("/ask?agent=alice", "dark", 960, "textarea"),
}


@pytest.fixture
def sample() -> Sample:
    return Sample(steps=10)


@pytest.mark.parametrize("name", PICTURES)
async def test_a_picture_for_the_readme_is_small(name: str, page: Page, visitor: Visitor) -> None:
    path, theme, height, waits_for = PICTURES[name]
    await page.set_viewport_size({"width": WIDTH, "height": height})
    await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    await visitor.open(path)
    await expect(page.locator(waits_for).first).to_be_visible()
    if name == "run":
        await page.get_by_role("button", name="Open all").click()
        await page.mouse.move(0, 0)
    if name == "ask":
        await page.get_by_label("What should be done").fill("Ask Bob for an email about the party.")
        await page.get_by_role("button", name="Send").click()
        await expect(page.get_by_role("region", name="Answer", exact=True)).to_contain_text(
            "Subject"
        )
        await page.get_by_role("button", name="Dismiss").click()
    await expect(page.locator(".freshness")).to_be_visible()
    part = page.locator(".timeline") if name == "run" else page
    picture = await part.screenshot()
    assert len(picture) < 2 * MOST_BYTES  # with any fonts
    if WRITTEN:
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / f"{name}.png").write_bytes(picture)
    assert (FOLDER / f"{name}.png").stat().st_size < MOST_BYTES
