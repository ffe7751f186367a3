from __future__ import annotations

from datetime import timedelta

from services.agent.llm.chat import ToolSpec
from services.agent.loop.snapshot import Snapshot
from services.agent.loop.tool_calls import WorkerSpec
from shared.definitions.functions import JsonObject
from shared.definitions.model import Definition, Limits

PARAMETERS: JsonObject = {"type": "object"}
TOOLS = (
    ToolSpec(name="lookup", description="Finds.", parameters=PARAMETERS, repeatable=True),
    ToolSpec(name="pay", description="Pays.", parameters=PARAMETERS),
)
BOB = Definition(name="bob", description="Writes.", preamble="Bob's own words.")
ALICE = Definition(
    name="alice", workers=("bob",), limits=Limits(timeout=timedelta(minutes=90)), tools=("a.py:b",)
)


def snapshot(alice: Definition = ALICE, bob: Definition = BOB) -> Snapshot:
    return Snapshot.of("alice", {"alice": alice, "bob": bob}, TOOLS)


def test_a_snapshot_sees_its_workers_by_description_never_by_preamble() -> None:
    assert snapshot().workers == (WorkerSpec(name="bob", description="Writes."),)
    assert "own words" not in snapshot().body


def test_a_snapshot_comes_back_from_its_body_as_it_was() -> None:
    frozen = snapshot()
    assert Snapshot.model_validate_json(frozen.body) == frozen


def test_tools_in_a_snapshot_without_the_field_repeatable_are_not_repeatable() -> None:
    tool = '{"name": "b", "description": "", "parameters": {}}'
    frozen = Snapshot.model_validate_json(
        f'{{"definition": {{"name": "alice", "tools": ["a.py:b"]}}, "tools": [{tool}]}}'
    )
    assert not frozen.tools[0].repeatable
    assert not frozen.definition.tools[0].repeatable


def test_equal_snapshots_have_one_digest() -> None:
    assert snapshot().digest == snapshot().digest
    assert len(snapshot().digest) == 32


def test_any_edit_that_a_run_would_see_changes_the_digest() -> None:
    edited = ALICE.model_copy(update={"preamble": "Be brief."})
    told_anew = BOB.model_copy(update={"description": "Draws."})
    unseen = BOB.model_copy(update={"preamble": "Other words."})
    seen = (snapshot(), snapshot(edited), snapshot(bob=told_anew))
    assert len({frozen.digest for frozen in seen}) == 3
    assert snapshot(bob=unseen).digest == snapshot().digest


def with_tools(*tools: ToolSpec, alice: Definition = ALICE) -> Snapshot:
    return Snapshot.of("alice", {"alice": alice, "bob": BOB}, tools)


def test_the_approval_of_a_call_depends_on_the_definition_and_the_called_tool_or_worker() -> None:
    lookup, pay = TOOLS
    asked = snapshot()
    for_pay = asked.call_digest("pay", asked)
    assert with_tools(pay).call_digest("pay", asked) == for_pay
    other = pay.model_copy(update={"description": "Pays twice."})
    edited = ALICE.model_copy(update={"preamble": "Be brief."})
    assert with_tools(lookup, other).call_digest("pay", asked) != for_pay
    assert with_tools(*TOOLS, alice=edited).call_digest("pay", asked) != for_pay
    draws = BOB.model_copy(update={"description": "Draws."})
    assert snapshot(bob=draws).call_digest("bob", asked) != asked.call_digest("bob", asked)
    assert snapshot(bob=draws).call_digest("pay", asked) == for_pay


def test_a_tool_whose_server_is_away_counts_as_the_run_has_it() -> None:
    asked = snapshot()
    away = with_tools(TOOLS[0])
    assert away.call_digest("pay", asked) == asked.call_digest("pay", asked)
