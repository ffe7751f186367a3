from __future__ import annotations

from services.agent.llm.chat import ToolSpec
from services.agent.loop.snapshot import Snapshot
from services.agent.loop.tool_calls import WorkerSpec
from services.agent.memory import choice
from shared.definitions.knowledge import FIND_TOOLS, MOST_OFFERED
from shared.definitions.model import Definition
from shared.store import Store

SUBJECTS = "orders invoices parcels customers refunds taxes shifts cars rooms meals".split()  # noqa: SIM905
NAMES = [f"{verb}_{it}" for it in SUBJECTS for verb in ("find", "delete")]


def spec(name: str, description: str = "") -> ToolSpec:
    return ToolSpec(name=name, description=description, parameters={"properties": {}})


def snapshot(*more: ToolSpec, preamble: str = "You help.", number: int = 20) -> Snapshot:
    tools = (*(spec(name) for name in NAMES[:number]), *more)
    references = tuple({"function": f"a.py:{it.name}"} for it in tools)
    definition = Definition.model_validate(
        {"name": "alice", "preamble": preamble, "tools": references, "workers": ("fred",)}
    )
    fred = WorkerSpec(name="fred", description="Decides whether an order is a fraud.")
    return Snapshot(
        definition=definition, workers=(fred,), tools=(*tools, spec(FIND_TOOLS, "fraud refund"))
    )


async def at_first(store: Store, it: Snapshot, task: str) -> list[str]:
    return [tool.name for tool in await choice.at_first(store, it, task)]


async def found(store: Store, it: Snapshot, query: str) -> list[str]:
    return [tool.name for tool in await choice.found(store, it, query)]


async def test_the_tools_that_fit_a_task_come_first_and_workers_are_among_them(
    store: Store,
) -> None:
    it = snapshot(spec("bookRoom", "Books a table in a restaurant."))
    await choice.index_tools(store, it)
    chosen = await at_first(store, it, "Is this refund a fraud? Then delete it.")
    assert set(chosen[:3]) == {"delete_refunds", "find_refunds", "fred"}
    assert len(chosen) == len(set(chosen)) == choice.OFFERED
    assert (await at_first(store, it, "book a room"))[0] == "bookRoom"
    assert await found(store, it, "restaurants") == ["bookRoom"]
    assert await found(store, it, "find_taxes please") == await found(store, it, "find_taxes")
    assert len(await found(store, it, "find")) == choice.FOUND


async def test_tools_that_the_preamble_names_are_always_offered(store: Store) -> None:
    it = snapshot(preamble="Begin with find_cars, and end with fred.")
    await choice.index_tools(store, it)
    assert (await at_first(store, it, "taxes"))[:4] == [
        "find_cars",
        "fred",
        "delete_taxes",
        "find_taxes",
    ]


async def test_a_run_of_an_earlier_version_is_offered_its_own_tools(store: Store) -> None:
    older = snapshot(spec("find_ships"))
    await choice.index_tools(store, older)
    await choice.index_tools(store, snapshot(spec("sink_ships")))
    assert await found(store, older, "ships") == []
    assert set(await at_first(store, older, "ships")) < {it.name for it in choice.selectable(older)}
    await choice.index_tools(store, older)
    assert await found(store, older, "ships") == ["find_ships"]


async def test_an_agent_with_few_tools_is_offered_all(store: Store) -> None:
    few = snapshot(number=MOST_OFFERED - 1)
    await choice.index_tools(store, few)
    assert await found(store, few, "find") == []
