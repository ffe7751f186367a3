"""A tool that raises: one line for the model, all of it for the operator."""

from __future__ import annotations

from pathlib import Path

import structlog
from pydantic import JsonValue

from services.cli.commands import show
from shared.store import Store
from shared.store.queries.texts import run_texts
from tests.support.model.endpoint import Answer, Endpoint, completion
from tests.support.processes.instances import instance
from tests.support.processes.living import begun, lived
from tests.support.tool_file import tool

RAISES = 'def lookup() -> None:\n    raise KeyError("order 7 of amqp://bob:hidden@host")'


async def test_a_tool_that_raises_leaves_a_trace_and_the_model_gets_a_line(
    store: Store, endpoint: Endpoint, tmp_path: Path
) -> None:
    lookup = tool(tmp_path, RAISES)
    own = instance(store, tools=[lookup])
    run = await begun(own)
    asked: JsonValue = {"function": {"name": "lookup", "arguments": "{}"}}
    endpoint.script = [
        Answer(completion(content=None, tool_calls=[asked])),
        Answer(completion(content="Done.")),
    ]
    with structlog.testing.capture_logs() as logged:
        row = await lived(own, endpoint, run, [lookup])
    assert row.status == "ok"
    (warning,) = [line for line in logged if line["log_level"] == "warning"]
    assert warning["tool"] == "lookup"
    assert warning["step"].startswith(f"{run.run_id}.")
    assert 'orders.py", line 2, in lookup' in warning["exception"]
    assert "orders.py" not in str(endpoint.requests), "the model gets the exception's line only"
    assert "lookup failed: KeyError: " in str(endpoint.requests[1])
    said = await store.read(lambda db: run_texts(db, run.run_id))
    assert "orders.py" not in (said.response or "")
    shown = "\n".join(show.paragraphs(row, said))
    assert 'orders.py", line 2, in lookup' in shown
    assert "hidden" not in f"{warning} {shown.partition('detail')[2]}"
