"""A run whose endpoint refuses requests as too long, by HTTP."""

from __future__ import annotations

import json

import pytest
from pydantic import JsonValue

from services.agent.llm.client import OpenAIModel
from services.agent.loop.journal import MemoryJournal
from services.agent.loop.loop import run
from services.agent.loop.window.shortening import TOO_LONG
from services.agent.loop.work import Outcome
from shared.contract.messages import Status, Task
from shared.definitions.model import ModelChoice
from tests.support.model.doubles import ScriptedTools, ScriptedWorkers
from tests.support.model.endpoint import Answer, Endpoint, completion
from tests.support.model.loop import work

REFUSALS: dict[str, JsonValue] = {
    "openai": {
        "error": {
            "message": "This model's maximum context length is 4096 tokens. However, your messages "
            "resulted in 13071 tokens. Please reduce the length of the messages.",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        }
    },
    "llama.cpp": {
        "error": {
            "code": 400,
            "message": "the request exceeds the available context size, try increasing it",
            "type": "exceed_context_size_error",
            "n_prompt_tokens": 13071,
            "n_ctx": 4096,
        }
    },
    "anthropic": {
        "error": {
            "message": "prompt is too long: 13071 tokens > 4096 maximum",
            "type": "invalid_request_error",
        }
    },
}


async def ask(endpoint: Endpoint) -> Outcome:
    exchanges = tuple((f"asked {it}", "x" * 2_000) for it in range(20))
    it = work(Task(content="Do it.")).model_copy(update={"recalled": exchanges})
    model = OpenAIModel("tiny", endpoint.url, choice=ModelChoice(api="chat"))
    try:
        return await run(it, model, ScriptedTools(), ScriptedWorkers(), MemoryJournal())
    finally:
        await model.close()


@pytest.mark.parametrize("words", REFUSALS)
async def test_a_refused_request_is_shortened_and_sent_again(
    endpoint: Endpoint, words: str
) -> None:
    endpoint.script = [Answer(REFUSALS[words], 400), Answer(completion(content="Done."))]
    outcome = await ask(endpoint)
    assert (outcome.status, outcome.content) == (Status.OK, "Done.")
    long, short = (len(json.dumps(it["messages"])) for it in endpoint.requests)
    assert short < 4_096 * 4 < long


async def test_a_request_that_is_refused_however_short_is_asked_a_few_times(
    endpoint: Endpoint,
) -> None:
    endpoint.script = [Answer(REFUSALS["openai"], 400)] * 9
    outcome = await ask(endpoint)
    assert (outcome.status, outcome.content) == (Status.FAILED, TOO_LONG)
    assert "maximum context length is 4096" in (outcome.detail or "")
    assert 2 <= len(endpoint.requests) <= 4
