"""The compliance tests of Open Responses that need neither tools of the client nor images.

They are rebuilt from its `src/lib/compliance-tests.ts`: the same requests, and a response must have
every field that its schema demands, with the type that it demands.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import httpx2
import pytest
from pydantic import BaseModel, ConfigDict, JsonValue

from tests.integration.services.gateway.openai.conftest import Door

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class Text(_Strict):
    type: Literal["output_text"]
    text: str
    annotations: list[JsonValue]
    logprobs: list[JsonValue]


class Message(_Strict):
    type: Literal["message"]
    id: str
    status: Literal["in_progress", "completed", "incomplete"]
    role: Literal["assistant"]
    content: list[Text]


class Resource(_Strict):
    """`responseResourceSchema`: no field may be absent."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int | None
    status: str
    incomplete_details: dict[str, str] | None
    model: str
    previous_response_id: str | None
    instructions: str | None
    output: list[Message]
    error: dict[str, JsonValue] | None
    tools: list[JsonValue]
    tool_choice: Literal["none", "auto", "required"]
    truncation: Literal["auto", "disabled"]
    parallel_tool_calls: bool
    text: dict[str, JsonValue]
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    top_logprobs: int
    temperature: float
    reasoning: dict[str, JsonValue] | None
    usage: dict[str, JsonValue] | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    store: bool
    background: bool
    service_tier: str
    metadata: JsonValue
    safety_identifier: str | None
    prompt_cache_key: str | None


def said(role: str, content: str) -> dict[str, str]:
    return {"type": "message", "role": role, "content": content}


REQUESTS: dict[str, list[Any]] = {
    "basic-response": [said("user", "Say hello in exactly 3 words.")],
    "system-prompt": [
        said("system", "You are a pirate. Always respond in pirate speak."),
        said("user", "Say hello."),
    ],
    "multi-turn": [
        said("user", "My name is Alice."),
        said("assistant", "Hello Alice! Nice to meet you. How can I help you today?"),
        said("user", "What is my name?"),
    ],
}
STREAMED = [said("user", "Count from 1 to 5.")]


async def test_the_compliance_tests_pass(door: Door) -> None:
    async with httpx2.AsyncClient(base_url=door.url, timeout=60) as http:
        for name, asked in REQUESTS.items():
            body = {"model": "bob", "input": asked, "stream": False}
            response = await http.post("/responses", json=body)
            assert response.status_code == 200, (name, response.text)
            resource = Resource.model_validate_json(response.content)
            assert resource.output, name
            assert resource.status == "completed", name

        body = {"model": "bob", "input": STREAMED, "stream": True}
        streamed = await http.post("/responses", json=body)
        frames = [it for it in streamed.text.split("\n\n") if not it.startswith(":")]
        events = [dict(line.split(": ", 1) for line in it.splitlines()) for it in frames if it]
        parsed = [json.loads(event["data"]) for event in events]
        assert [event["event"] for event in events] == [it["type"] for it in parsed]
        assert all(isinstance(it["sequence_number"], int) for it in parsed)
        final = Resource.model_validate_json(json.dumps(parsed[-1]["response"]))
        assert final.status == "completed"


async def test_the_other_compliance_tests_get_an_answer_or_a_clear_refusal(door: Door) -> None:
    tool = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
    image = {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="}
    async with httpx2.AsyncClient(base_url=door.url, timeout=60) as http:
        body = {"model": "bob", "input": "What's the weather like?", "tools": [tool]}
        answered = (await http.post("/responses", json=body)).json()
        assert [it["type"] for it in answered["output"]] == ["message"]
        seen: Any = {"model": "bob", "input": [{"role": "user", "content": [image]}]}
        refused = await http.post("/responses", json=seen)
        assert refused.status_code == 400
        assert refused.json()["error"]["param"] == "input.0.content.0"
