from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from services.agent.llm.chat import ToolSpec
from services.agent.loop.calls import Tools
from services.agent.loop.journal import StepKey
from services.agent.loop.preparation import found_tools
from services.agent.memory import built_in
from services.agent.memory.built_in import BuiltIn
from services.agent.memory.choice import OFFERED, index_tools
from services.agent.memory.index import KnowledgeIndex
from shared.definitions.functions import JsonObject
from shared.definitions.knowledge import Knowledge
from shared.definitions.model import Definition
from shared.definitions.tools.choice import ToolChoice
from shared.errors import ToolError
from shared.store import Store
from shared.store.knowledge.documents import forget
from tests.support.model.doubles import ScriptedTools
from tests.support.processes.instances import instance
from tests.support.stores.steps import owned

ALL = Definition(name="alice", knowledge=Knowledge(paths=("docs",)), memory=True)


async def of(
    store: Store,
    folder: Path = Path(),
    definition: Definition = ALL,
    *,
    session: str | None = None,
    task: str = "t1",
    skills: dict[str, Path] | None = None,
) -> Tools:
    """The tools of a run; its agent's own is `lookup`."""
    own = instance(store, definition)
    index = KnowledgeIndex(own, folder)
    await index.update()
    index.ready.set()
    run = replace(await owned(store, task), session=session)
    tools = ScriptedTools({"lookup": lambda _: "own", "recall": lambda _: "own recall"})
    return BuiltIn(store, index, skills or {}).of(run, own.snapshot, tools)


async def call(tools: Tools, name: str, /, *, place: int = 1, **arguments: str) -> str:
    return await tools.call(StepKey(1, place), name, dict(arguments))


async def test_documents_are_searched_and_named_as_sources(store: Store, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    text = "# Returns\n\nWithin 30 days.\n[docs/other.md] Never."
    (tmp_path / "docs" / "returns.md").write_text(text, "utf-8")
    tools = await of(store, tmp_path)
    assert await call(tools, "search_knowledge", query="how many days?") == (
        "- [docs/returns.md] docs/returns.md > Returns\n  \n  Within 30 days.\n"
        "  [docs/other.md] Never."
    )
    assert "try other words" in await call(tools, "search_knowledge", query="zebra")


async def test_an_agents_own_tools_are_called_as_before(store: Store) -> None:
    assert await call(await of(store), "lookup") == "own"
    without = await of(store, definition=Definition(name="alice"))
    assert await call(without, "recall") == "own recall"


@pytest.mark.essential
async def test_what_is_remembered_is_recalled_in_later_runs_until_it_is_forgotten(
    store: Store,
) -> None:
    tools = await of(store)
    assert await call(tools, "recall") == "You remember nothing about that."
    said = await call(tools, "remember", fact="Ann likes green tea.")
    fact_id = said.split()[-1].rstrip(".")
    await call(tools, "remember", place=2, fact="Bob is in Leeds.")
    later = await of(store, task="t2")
    assert f"[{fact_id}] Ann likes green tea." in await call(later, "recall", query="teas")
    assert (await call(later, "recall")).index("Leeds") < (await call(later, "recall")).index("Ann")
    await call(later, "forget", id=fact_id)
    assert "Ann" not in await call(later, "recall")


@pytest.mark.essential
async def test_a_call_that_is_made_again_after_a_crash_remembers_once(store: Store) -> None:
    first, second = [
        await call(await of(store), "remember", fact="Ann likes tea.") for _ in range(2)
    ]
    assert first == second
    assert (await call(await of(store), "recall")).count("Ann") == 1


@pytest.mark.essential
async def test_a_sessions_user_shares_no_memory_with_others_and_with_runs_outside_sessions(
    store: Store,
) -> None:
    ann = await of(store, session="ann/1")
    await call(ann, "remember", fact="Ann is allergic to nuts.")
    again = await of(store, session="ann/2", task="t2")
    assert "nuts" in await call(again, "recall")
    for session in ("bob/1", "ann2", None):
        other = await of(store, session=session, task=f"of {session}")
        assert "nuts" not in await call(other, "recall")
    assert await store.write("", lambda db: forget(db, "bob")) == 0
    assert await store.write("", lambda db: forget(db, "ann")) == 1
    assert "nuts" not in await call(again, "recall")


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("search_knowledge", {}, "query: expected text"),
        ("remember", {"fact": " "}, "fact: expected text"),
        ("remember", {"fact": "x" * 2_001}, "longer than 2000 characters"),
    ],
)
async def test_wrong_arguments_are_answered_in_band(
    store: Store, name: str, arguments: JsonObject, said: str
) -> None:
    with pytest.raises(ToolError, match=said):
        await (await of(store)).call(StepKey(1, 1), name, arguments)


async def test_a_full_memory_takes_nothing_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(built_in, "FACTS_KEPT", 1)
    tools = await of(store)
    await call(tools, "remember", fact="One.")
    with pytest.raises(ToolError, match="forget some first"):
        await call(tools, "remember", place=2, fact="Two.")


async def test_skills_are_read_and_an_unknown_one_is_answered_in_band(
    store: Store, tmp_path: Path
) -> None:
    (tmp_path / "SKILL.md").write_text("Steps.", "utf-8")
    (tmp_path / "fees.md").write_text("Five.", "utf-8")
    definition = Definition(name="alice", skills=("skills",))
    tools = await of(store, definition=definition, skills={"refund": tmp_path})
    assert await call(tools, "read_skill", name="refund") == "Steps."
    assert await call(tools, "read_skill", name="refund", file="fees.md") == "Five."
    for name, file in (("refund", "../x"), ("ship", "")):
        with pytest.raises(ToolError, match=r"the skill has no file|there are: refund"):
            await call(tools, "read_skill", name=name, file=file)


async def test_tools_are_chosen_before_the_first_turn_and_found_in_later_ones(
    store: Store,
) -> None:
    tools = tuple(ToolChoice(function=f"a.py:tool_{n}") for n in range(21))
    definition = Definition(name="alice", tools=tools)
    specs = tuple(
        ToolSpec(name=f"tool_{n}", description=f"Makes number{n}.", parameters={})
        for n in range(21)
    )
    own = instance(store, definition)
    snapshot = own.snapshot.model_copy(update={"tools": specs})
    await index_tools(store, snapshot)
    parts = BuiltIn(store, KnowledgeIndex(own, Path()), {})
    it = parts.of(await owned(store), snapshot, ScriptedTools())
    first = await it.call(StepKey(0, 1), "find_tools", {"query": "number20 and number7"})
    assert found_tools(first)[:2] in {("tool_20", "tool_7"), ("tool_7", "tool_20")}
    assert len(found_tools(first)) == OFFERED
    later = await it.call(StepKey(1, 1), "find_tools", {"query": "number9"})
    assert later == '[{"name":"tool_9","description":"Makes number9."}]'
    assert "tool_0, tool_1" in await it.call(StepKey(1, 1), "find_tools", {"query": "zebra"})
