from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import JsonValue

from services.agent.tools.toolbox import progress_of
from shared.concurrency.threads import in_thread
from shared.contract.prompts import quoted
from shared.definitions.functions import Tool, load
from shared.definitions.tools.choice import ToolChoice
from shared.errors import ToolError
from shared.store import Store
from tests.support.model.endpoint import Answer, Endpoint, completion
from tests.support.processes.instances import instance, toolbox
from tests.support.processes.living import begun, lived
from tests.support.tool_file import tool


def tools(folder: Path, *names: str) -> list[Tool]:
    (folder / "tools").mkdir()
    source = "\n".join(f"def {name}() -> str:\n    return '{name}'" for name in names)
    (folder / "tools" / "orders.py").write_text(source, "utf-8")
    return [load(folder, f"orders.py:{name}") for name in names]


async def test_a_tool_is_called_by_the_name_that_the_model_is_offered(tmp_path: Path) -> None:
    box = toolbox(tools(tmp_path, "lookup", "größe"))
    assert [spec.name for spec in box.specs] == ["lookup", "gr__e"]
    assert await box.call("gr__e", {}) == "größe"


def test_specs_say_which_tools_may_run_twice(tmp_path: Path) -> None:
    pay, _ = tools(tmp_path, "pay", "lookup")
    lookup = load(tmp_path, ToolChoice(function="orders.py:lookup", repeatable=True))
    assert [spec.repeatable for spec in toolbox([pay, lookup]).specs] == [False, True]


async def test_a_tool_that_is_not_there_any_more_is_answered_in_band(tmp_path: Path) -> None:
    """A run resumes on the tools that its claim froze; a newer file may have fewer."""
    with pytest.raises(ToolError, match="the tool 'lookup' is not there any more"):
        await toolbox(tools(tmp_path, "search")).call("lookup", {})


async def test_a_run_fills_in_the_facts_of_a_call(
    store: Store, endpoint: Endpoint, tmp_path: Path
) -> None:
    source = """
def lookup(idempotency_key: str, deadline, session, run_id: str, progress) -> str:
    progress(1, 4)
    progress(2, 4)
    return repr((idempotency_key.partition('.')[0], deadline.isoformat(), session, run_id))
"""
    lookup = tool(tmp_path, source)
    own = instance(store, tools=[lookup])
    run = await begun(own)
    asked: JsonValue = {"function": {"name": "lookup", "arguments": "{}"}}
    endpoint.script = [
        Answer(completion(content=None, tool_calls=[asked])),
        Answer(completion(content="Done.")),
    ]
    assert (await lived(own, endpoint, run, [lookup])).status == "ok"
    until = datetime.fromtimestamp(run.deadline_at, UTC).isoformat()
    facts = repr((run.run_id, until, None, run.run_id))
    messages = endpoint.requests[1]["messages"]
    assert isinstance(messages, list)
    assert isinstance(messages[-1], dict)
    assert messages[-1]["content"] == quoted("lookup", facts)


async def test_progress_is_reported_at_most_once_a_second_and_only_in_numbers() -> None:
    announced: list[dict[str, float]] = []
    progress = progress_of(lambda **numbers: announced.append(numbers))
    await in_thread(progress, 1, 4)
    progress(2)
    with pytest.raises(ValueError, match="could not convert string"):
        progress("the customer's name")  # type: ignore[arg-type]  # a user's mistake
    with pytest.raises(ValueError, match="finite"):
        progress(float("nan"))
    await asyncio.sleep(0)
    assert announced == [{"done": 1.0, "total": 4.0}]
