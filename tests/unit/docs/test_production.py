"""docs/production.md names only what is there; tests/e2e/test_production.py runs its commands."""

from __future__ import annotations

import re

import pytest

from services.cli.__main__ import COMMANDS
from tests.support.repository import REPOSITORY

DOCS = REPOSITORY / "docs"
PAGE = (DOCS / "production.md").read_text("utf-8")
LINKS = re.findall(r"\]\((?!https:)([^)#]*)(?:#([^)]+))?\)", PAGE)


@pytest.mark.parametrize(("file", "anchor"), LINKS)
def test_a_link_leads_to_a_heading(file: str, anchor: str) -> None:
    text = (DOCS / file).read_text("utf-8") if file else PAGE
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", it).lower().replace(" ", "-") for it in headings}
    assert not anchor or anchor in slugs


def test_every_command_exists() -> None:
    blocks = "".join(re.findall(r"```(?:ba)?sh\n(.*?)```", PAGE, re.DOTALL))
    named = set(re.findall(r"(?<!-n )\bhutch ([a-z0-9]+)(?= |$)", blocks, re.MULTILINE))
    assert {"init", "topology", "ask", "migrate", "k8s"} <= named
    assert named <= set(COMMANDS)
