"""An agent with documents, a memory, skills and many tools, in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared.store.knowledge.search import MOST_WORDS
from tests.support.client import Client
from tests.support.model.meanings import MeaningsEndpoint
from tests.support.processes.agents import define
from tests.support.processes.fixtures import Asked, results_in
from tests.support.processes.running import System, until

CLERK = """
preamble: You answer questions.
knowledge: {paths: [docs/], in_prompt: true}
memory: true
skills: [skills/]
tools:
"""
TOOLS = "\n".join(f"def tool_{n}() -> str:\n    return 'did {n}'" for n in range(25))
SKILL = "---\nname: refund\ndescription: How to refund.\n---\nAsk first.\n"
SEARCH = '[[call search_knowledge {"query": "returns"}]]'


@pytest.fixture
def clerk(system: System, agents: Path) -> Path:
    """The clerk's files; it has 25 tools."""
    for name, text in (
        ("docs/returns.md", "# Returns\n\nWithin 30 days."),
        ("skills/refund/SKILL.md", SKILL),
        ("tools/many.py", TOOLS),
    ):
        (agents / name).parent.mkdir(parents=True)
        (agents / name).write_text(text, "utf-8")
    define(agents, system, clerk=CLERK + "\n".join(f"- many.py:tool_{n}" for n in range(25)))
    return agents


def results(asked: Asked) -> list[str]:
    """The results of tools in the last request."""
    return results_in(asked()[-1])


def offered(request: dict[str, Any]) -> set[str]:
    return set(request["tools"])


@pytest.mark.essential
def test_a_run_goes_on_with_the_passages_and_tools_that_it_had_when_its_process_died(
    system: System, pika: Client, asked: Asked, clerk: Path
) -> None:
    [first] = system.agents("clerk")
    task = f"Until when are returns taken? tool_17 {SEARCH}[[then]][[latency 3]]Done."
    pika.send("clerk", {"id": "t1", "content": task})
    until(lambda: len(asked()) == 2)
    first.kill()
    (clerk / "docs" / "returns.md").write_text("# Returns\n\nWithin 40 days.", "utf-8")
    system.agents("clerk")
    assert pika.reply().status == "ok"
    before, after = asked()[1], asked()[-1]
    assert before["messages"] == after["messages"]
    assert "Within 30 days." in before["messages"][1]["content"]
    assert "Within 30 days." in results(asked)[0]
    assert "- refund: How to refund." in before["messages"][0]["content"]
    assert offered(before) == offered(after)
    assert {"tool_17", "find_tools", "remember", "read_skill"} < offered(after)
    assert len(offered(after)) == 12 + 6
    shown = system.hutch("show", "t1").stdout
    assert "tool find_tools" in shown


def test_a_tool_is_found_and_called_and_a_fact_is_remembered_for_the_user_of_a_session(
    system: System, pika: Client, asked: Asked, clerk: Path
) -> None:
    system.agents("clerk")
    find, use = '[[call find_tools {"query": "tool_24"}]]', "[[call tool_24 {}]]"
    skill = '[[call read_skill {"name": "refund"}]]'
    words = " ".join(f"w{number}" for number in range(MOST_WORDS))  # only these choose tools
    pika.ask("clerk", f"{words} {find}{skill}[[then]]{use}[[then]]")
    assert "tool_24" not in offered(asked()[0])
    assert "tool_24" in offered(asked()[1])
    assert json.loads(results(asked)[0])[0]["name"] == "tool_24"
    assert results(asked)[1:] == [SKILL, "did 24"]
    keep = '[[call remember {"fact": "Ann drinks tea."}]]'
    pika.ask("clerk", {"content": f"{keep}[[then]]", "session": "ann/1"})
    for session, known in (("ann/2", True), ("bob/1", False)):
        pika.ask("clerk", {"content": "[[call recall {}]][[then]]", "session": session})
        assert ("Ann drinks tea." in results(asked)[0]) is known
    assert "Within 30 days." in system.hutch("knowledge", "search", "clerk", "days").stdout
    assert "forgot 1 fact" in system.hutch("forget", "ann").stdout


def test_documents_are_found_by_meaning_and_by_words_while_the_endpoint_is_away(
    system: System, pika: Client, asked: Asked, agents: Path
) -> None:
    (agents / "docs").mkdir()
    (agents / "docs" / "returns.md").write_text("# Returns\n\nBring it within 30 days.", "utf-8")
    (agents / "docs" / "refunds.md").write_text("# Refunds\n\nAfter five days.", "utf-8")
    search = '[[call search_knowledge {"query": "%s"}]][[then]]'
    with MeaningsEndpoint(down=True).serving() as endpoint:
        model = f"{{name: small, base_url: {endpoint.url}}}"
        define(agents, system, clerk=f"knowledge: {{paths: [docs/], embeddings: {model}}}")
        [first] = system.agents("clerk")
        pika.ask("clerk", search % "returns")
        assert "[docs/returns.md]" in results(asked)[0]
        pika.ask("clerk", search % "Where is my money?")
        assert results(asked) == ["No passage fits these words; try other words."]
        first.kill()
        endpoint.down = False
        system.agents("clerk")
        until(lambda: len(endpoint.texts) == 2)
        pika.ask("clerk", search % "Where is my money?")
        [found] = results(asked)
        assert found.index("After five days.") < found.index("Bring it")
        assert json.loads(system.hutch("knowledge", "status", "--json").stdout)[0]["embedded"] == 1
