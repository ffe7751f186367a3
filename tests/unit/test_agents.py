"""The shipped agents load, and the scripted model plays each of them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from services.agent.llm.chat import User
from services.agent.loop.prompt import opening_messages
from services.scripted.conversation import Request, read
from services.scripted.directives import Call
from services.scripted.script import Line, Script
from shared.contract.messages import Task
from shared.contract.prompts import finished_task, note
from shared.definitions.functions import load as load_tool
from shared.definitions.loader import load
from shared.definitions.model import Definition
from tests.support.repository import REPOSITORY

FOLDER = REPOSITORY / "agents"
AGENTS = load(FOLDER)
NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
TOM_SAID = note("tom", "Six of last week's seven backups succeeded.")


class Stage:
    """Plays agents against the script without a broker, and records which agent called which."""

    def __init__(self) -> None:
        self.turns: list[tuple[str, list[str]]] = []
        self._script = Script.shipped()

    def ask(self, name: str, text: str, *notes: str, context: str | None = None) -> str:
        agent = AGENTS[name]
        task = Task(content=text, context=context)
        system, user = opening_messages(agent.preamble, notes, NOW, (), task)
        assert isinstance(user, User)
        said: list[dict[str, object]] = [
            {"role": "system", "content": getattr(system, "content", "")},
            {"role": "user", "content": user.content},
        ]
        while True:
            line = self._line(agent, said)
            if not line.calls:
                return line.text
            self.turns.append((name, [call.tool for call in line.calls]))
            said += self._done(line.calls)

    def _line(self, agent: Definition, said: list[dict[str, object]]) -> Line:
        names = [
            *(it.name for it in agent.workers),
            *(load_tool(FOLDER, tool.function).name for tool in agent.tools),
        ]
        tools = [{"function": {"name": name}} for name in names]
        return self._script.line(read(Request.model_validate({"messages": said, "tools": tools})))

    def _done(self, calls: tuple[Call, ...]) -> list[dict[str, object]]:
        made = [{"function": {"name": call.tool}} for call in calls]
        said: list[dict[str, object]] = [{"role": "assistant", "tool_calls": made}]
        return said + [{"role": "tool", "content": self._result(call)} for call in calls]

    def _result(self, call: Call) -> str:
        words = {key: str(value) for key, value in call.arguments.items()}
        if call.tool in AGENTS:
            return self.ask(call.tool, words["prompt"], context=words.get("context"))
        return asyncio.run(load_tool(FOLDER, f"text.py:{call.tool}").call({**words}))


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_every_shipped_agent_says_what_it_is_for() -> None:
    assert len(AGENTS) == 9
    assert all(agent.description and agent.preamble for agent in AGENTS.values())


def test_alice_asks_bob_for_an_email_and_answers_with_his_text(stage: Stage) -> None:
    said = stage.ask(
        "alice", "Ask Bob to write an email for you and let me know what he has written."
    )
    assert stage.turns == [("alice", ["bob"])]
    assert "Subject: Fire drill on Friday" in said


def test_alice_passes_the_emails_subject_on_to_bob(stage: Stage) -> None:
    said = stage.ask("alice", "Ask Bob for an email about the new lift and let me know.")
    assert "Subject: News about the new lift\n" in said


def test_alice_plans_her_day_alone(stage: Stage) -> None:
    (plan,) = AGENTS["alice"].schedule
    assert "drafts" in stage.ask("alice", plan.prompt)
    assert not stage.turns


@pytest.mark.parametrize("text", ["Write a short text about message queues.", "Message queues"])
def test_the_editor_splits_the_job_checks_and_merges(stage: Stage, text: str) -> None:
    said = stage.ask("editor", text)
    assert stage.turns == [
        ("editor", ["researcher", "writer", "checker"]),
        ("editor", ["count_words", "checker"]),
    ]
    assert said.startswith("A message queue lets one program")
    assert "1. A queue keeps a message" in said
    words = len(said.splitlines()[0].split())
    assert f"The draft has {words} words. The check: The draft agrees with facts 1 and 2." in said


def test_richard_builds_on_toms_broadcast(stage: Stage) -> None:
    found = stage.ask("tom", "How did last week's backups go?")
    question = "What should we do about the backups?"
    assert "I have heard nothing from Tom" in stage.ask("richard", question)
    assert found in stage.ask("richard", question, note("tom", found))


def test_harry_doubts_the_other_members_broadcasts(stage: Stage) -> None:
    said = stage.ask("harry", "What could be wrong?", TOM_SAID, note("richard", "Buy a disk."))
    assert 'Richard concludes "Buy a disk."' in said
    assert "Tom reported" in stage.ask("harry", "What could be wrong?", TOM_SAID)


def test_a_tick_is_summed_up_by_the_last_answer(stage: Stage) -> None:
    done = "\n".join([finished_task("A", "One. More."), finished_task("B", "Six of seven. Rest.")])
    assert stage.ask("tom", f"Sum up in one sentence:\n{done}") == "In short: Six of seven."


@pytest.mark.parametrize("name", AGENTS)
def test_a_summary_is_one_sentence(stage: Stage, name: str) -> None:
    assert stage.ask(name, "Sum up in one sentence what you have done.").count(".") == 1
