"""An agent's own client at the scripted model, by either wire, streamed or not."""

from __future__ import annotations

import openai
import pytest

from services.agent.llm.chat import (
    Assistant,
    ChatMessage,
    Request,
    System,
    ToolResult,
    ToolSpec,
    User,
)
from services.agent.llm.client import OpenAIModel
from shared.definitions.model import ModelChoice
from shared.definitions.models.profiles import Wire

BOB = ToolSpec(name="bob", description="Writes.", parameters={"type": "object"})


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("protocol", ["native", "schema"])
@pytest.mark.parametrize("wire", ["chat", "responses"])
async def test_a_call_and_an_answer_are_the_same_by_each_wire(
    client: openai.AsyncOpenAI, wire: Wire, protocol: str, streamed: bool
) -> None:
    model = OpenAIModel(
        "gpt-5",
        str(client.base_url),
        tool_protocol="schema" if protocol == "schema" else "native",
        choice=ModelChoice(api=wire),
    )
    pieces: list[str] = []
    on_text = pieces.append if streamed else None
    history: list[ChatMessage] = [System(content="You are Ann."), User(content="Hi [[call bob]]")]
    first = await model.complete(Request(history, [BOB]), on_text)
    (call,) = first.tool_calls
    assert (call.name, first.text, pieces) == ("bob", "", [])
    ours = call.resendable("c00010001")
    history += [
        Assistant(content=None, tool_calls=(ours,), kept=first.kept),
        ToolResult(call_id=ours.id, name="bob", content="Dear Sir"),
    ]
    second = await model.complete(Request(history, [BOB]), on_text)
    await model.close()
    assert second.text == 'I was asked: "Hi". bob returned: "Dear Sir".'
    assert "".join(pieces) == (second.text if streamed else "")
    assert second.model == "scripted"
