"""Links lead somewhere, and docs/production.md names only commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from services.cli.__main__ import COMMANDS
from tests.support.repository import REPOSITORY

PAGE = REPOSITORY / "docs" / "production.md"
LINKS = [
    (page, *link)
    for page in (*REPOSITORY.glob("*.md"), *sorted(REPOSITORY.glob("docs/*.md")))
    for link in re.findall(r"\]\((?!https:)([^)#]*)(?:#([^)]+))?\)", page.read_text("utf-8"))
]


@pytest.mark.parametrize(("page", "file", "anchor"), LINKS)
def test_a_link_leads_to_a_heading(page: Path, file: str, anchor: str) -> None:
    text = (page.parent / file if file else page).read_text("utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", it).lower().replace(" ", "-") for it in headings}
    assert not anchor or anchor in slugs


def test_every_command_exists() -> None:
    blocks = "".join(re.findall(r"```(?:ba)?sh\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL))
    named = set(re.findall(r"(?<!-n )\bhutch ([a-z0-9]+)(?= |$)", blocks, re.MULTILINE))
    assert {"init", "topology", "ask", "migrate", "k8s"} <= named
    assert named <= set(COMMANDS)
