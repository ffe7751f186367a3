"""Text of models, tools and clients stays text, whatever is in it."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.sample_content import HOSTILE
from tests.browser.sample_gateway import Sample

RUN = "badc0de001"
CLICK_MS = 20_000
"""The browser lays out a megabyte in a fraction of this."""


async def test_markup_and_terminal_codes_are_shown_and_do_nothing(
    page: Page, visitor: Visitor
) -> None:
    await visitor.open(f"/runs/{RUN}")
    answer = page.get_by_label("Answer", exact=True)
    await expect(answer).to_contain_text("<script>document.title='broken into'</script>")
    await expect(answer).to_contain_text("ESC[31mredESC[0m")
    await expect(answer).to_contain_text("U+202Egpj.exe U+2066isolatedU+2069 zeroU+200Bwidth")
    await expect(answer).to_contain_text("hidden: Hi")
    await expect(page.get_by_role("row", name="<b>fetch</b>")).to_be_visible()
    assert await page.title() == "Run of researcher · Hutch"
    assert await page.locator("main img, main script, main b").count() == 0


async def test_what_is_copied_is_the_text_itself(page: Page, visitor: Visitor) -> None:
    await visitor.open(f"/runs/{RUN}")
    await page.get_by_role("button", name="Copy the answer").click()
    assert await page.evaluate("navigator.clipboard.readText()") == HOSTILE


@pytest.mark.parametrize("path", ["/runs", "/dead-letters", f"/ask?from={RUN}"])
async def test_lists_and_forms_show_it_as_text_too(path: str, page: Page, visitor: Visitor) -> None:
    await visitor.open(path)
    shown = page.get_by_text("<script>document.title").first
    if path.startswith("/ask"):
        await expect(page.get_by_label("What should be done")).to_have_value(
            HOSTILE.replace("\n", " ")
        )
    else:
        await expect(shown).to_be_visible()
    assert "broken into" not in await page.title()
    assert await page.locator("main img, main script").count() == 0


@pytest.mark.parametrize(
    "text",
    ["0123456789 lorem ipsum\n" * 45_000, "lorem ipsum " * 86_000, HOSTILE * 4_600],
    ids=["lines", "one-line", "hostile"],
)
async def test_a_megabyte_is_clipped_until_all_of_it_is_asked_for(
    text: str, page: Page, visitor: Visitor, sample: Sample
) -> None:
    sample.texts[RUN] = text
    await visitor.open(f"/runs/{RUN}")
    answer = page.get_by_label("Answer", exact=True)
    await expect(answer).to_be_visible()
    assert len(await answer.text_content() or "") <= 40_000
    shown = page.get_by_role("button", name="Show all (1.")
    await shown.last.click(timeout=CLICK_MS)
    await expect(shown).to_have_count(1, timeout=CLICK_MS)
    whole = await answer.text_content() or ""
    assert len(whole) >= len(text)
    assert whole == text or "<script>" in text


async def test_the_browser_refuses_scripts_styles_and_markup_from_text(
    page: Page, visitor: Visitor
) -> None:
    await visitor.open("/")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    refused = await page.evaluate(
        """() => {
          const script = document.createElement('script');
          let refused = 0;
          try {
            script.textContent = 'document.title = "broken into"';
            document.body.append(script);
          } catch {
            refused += 1;
          }
          try {
            document.body.innerHTML = '<b>broken into</b>';
          } catch {
            refused += 1;
          }
          return refused;
        }"""
    )
    assert refused == 2
    assert "broken into" not in await page.content()
    assert all("TrustedScript" in it or "TrustedHTML" in it for it in visitor.complaints)
    visitor.complaints.clear()
