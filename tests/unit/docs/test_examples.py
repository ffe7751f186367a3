"""The examples of the pages on approval, MCP, shared limits and skills work as they are printed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from shared.definitions.loader import equipped, read_folder
from shared.definitions.skills import with_skills
from shared.settings.environment import Settings
from shared.settings.limits import ModelLimits
from tests.support.repository import REPOSITORY

TOOLS = {
    "orders.py": "def lookup() -> None: ...\ndef refund(amount: float) -> None: ...\n",
    "refunds.py": "def refund(amount: float) -> None: ...\n",
    "mail.py": "def send() -> None: ...\n",
}


def blocks(page: str, language: str) -> list[str]:
    text = (REPOSITORY / "docs" / page).read_text("utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def agent_file(block: str) -> str:
    return block if block.startswith("name:") else f"name: carol\n{block}"


@pytest.mark.parametrize(
    ("example", "worker"),
    [(blocks("approval.md", "yaml")[0], "erin"), (blocks("agents.md", "yaml")[1], "lawyer")],
)
async def test_calls_need_approval_as_the_page_says(
    tmp_path: Path, example: str, worker: str
) -> None:
    (tmp_path / "tools").mkdir()
    for name, text in TOOLS.items():
        (tmp_path / "tools" / name).write_text(text, "utf-8")
    (tmp_path / "carol.yaml").write_text(agent_file(example), "utf-8")
    for name in ("erin", "orders", "lawyer"):
        (tmp_path / f"{name}.yaml").write_text(f"name: {name}\n", "utf-8")
    found = await equipped(read_folder(tmp_path), "carol")
    tools = {it.name: it for it in found.tools}
    refund, send = (tools[it].choice.approval for it in ("refund", "send"))
    assert refund is not None
    assert send is not None
    schema = tools["refund"].parameters
    assert refund.asks({"amount": 101}, schema)
    assert not refund.asks({"amount": 100}, schema)
    assert send.asks({}, tools["send"].parameters)
    assert {it.name: it.approval is not None for it in found.definition.workers}[worker]


def test_the_servers_of_the_page_have_the_tools_that_it_says(tmp_path: Path) -> None:
    [example] = blocks("mcp.md", "yaml")
    (tmp_path / "clerk.yaml").write_text(example, "utf-8")
    time, shop, payments = read_folder(tmp_path).definition("clerk").mcp
    assert time.command == ("uvx", "mcp-server-time", "--local-timezone=UTC")
    assert (shop.has("get_order"), shop.has("refund"), shop.approval) == (True, False, None)
    assert (payments.tool_prefix, payments.has("refund")) == ("payments_", True)
    assert payments.approval is not None


def test_the_limits_of_the_page_are_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    [example], [commands, *_] = blocks("limits.md", "yaml"), blocks("limits.md", "sh")
    [in_variable] = re.findall("HUTCH_LIMITS='(.*)'", commands)
    (tmp_path / "limits.yaml").write_text(example, "utf-8")
    monkeypatch.setenv("HUTCH_LIMITS", str(tmp_path / "limits.yaml"))
    limits = Settings.from_environment().limits
    assert limits["gpt-5*"] == ModelLimits(**json.loads(in_variable)["gpt-5*"])
    assert (limits["qwen3"].concurrent_calls, limits["*"]) == (4, ModelLimits())


def test_the_skill_of_the_page_is_one(tmp_path: Path) -> None:
    [example] = blocks("agents.md", "markdown")
    (tmp_path / "skills" / "refund").mkdir(parents=True)
    (tmp_path / "skills" / "refund" / "SKILL.md").write_text(example, "utf-8")
    (tmp_path / "carol.yaml").write_text("name: carol\nskills: [skills/]\n", "utf-8")
    definition = with_skills(tmp_path, read_folder(tmp_path).definition("carol"))
    assert "- refund: How to refund an order. Read it before any refund." in definition.preamble


def test_the_words_of_the_glossary_are_in_order_each_once() -> None:
    text = (REPOSITORY / "docs" / "glossary.md").read_text("utf-8")
    words = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)[1:]
    assert words == sorted(set(words), key=str.casefold)
