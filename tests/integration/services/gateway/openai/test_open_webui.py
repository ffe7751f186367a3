"""Open WebUI's requests, rebuilt from its routers `openai` and `tasks` and its prompt templates.

It sends the whole chat each time, with the headers of `ENABLE_FORWARD_USER_INFO_HEADERS`, and asks
the same model for a title, tags and follow-up questions in the name of the same chat.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import httpx2
import pytest

from tests.integration.services.gateway.openai.conftest import Door
from tests.support.processes.fixtures import Asked

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)

CHAT = "0b0c9f7e-6c1c-4f9d-9a50-1f0f0e6c2a11"
HEADERS = {
    "Authorization": "Bearer sk-none",
    "X-OpenWebUI-User-Name": "Ann%20Lee",
    "X-OpenWebUI-User-Id": "6a3b",
    "X-OpenWebUI-User-Email": "ann@example.com",
    "X-OpenWebUI-User-Role": "user",
    "X-OpenWebUI-Chat-Id": CHAT,
    "X-OpenWebUI-Message-Id": "f5d1",
}
ANSWER = "Rome is the capital of Italy."
TITLE = """### Task:
Generate a concise, 3-5 word title with an emoji summarizing the chat history.
### Output:
JSON format: { "title": "your concise title here" }
### Chat History:
<chat_history>
USER: What is the capital of Italy?
ASSISTANT: Rome.
</chat_history> [[reply {"title": "Capitals"}]]"""


async def completed(http: httpx2.AsyncClient, messages: list[Any], **more: object) -> Any:
    body = {"model": "bob", "messages": messages, **more}
    response = await http.post("/chat/completions", json=body, headers=HEADERS)
    assert response.status_code == 200, response.text
    if not more.get("stream"):
        return response.json()["choices"][0]["message"]["content"]
    lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
    assert lines.pop() == "[DONE]"
    choices = [choice for line in lines for choice in json.loads(line)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)


@pytest.mark.essential
async def test_a_chat_is_one_session_and_what_the_page_asks_on_its_own_is_not_in_it(
    door: Door, asked: Asked
) -> None:
    async with httpx2.AsyncClient(base_url=door.url, timeout=60) as http:
        models = (await http.get("/models", headers=HEADERS)).json()["data"]
        assert {"alice", "bob"} <= {it["id"] for it in models}
        messages: list[Any] = [
            {"role": "system", "content": "The user is Ann."},
            {"role": "user", "content": f"What is the capital of Italy? [[reply {ANSWER}]]"},
        ]
        features = {"stream_options": {"include_usage": True}, "tools": [], "params": {}}
        assert await completed(http, messages, stream=True, **features) == ANSWER
        titled = await completed(
            http, [{"role": "user", "content": TITLE}], stream=False, max_completion_tokens=1000
        )
        assert json.loads(titled) == {"title": "Capitals"}
        messages += [
            {"role": "assistant", "content": ANSWER},
            {"role": "user", "content": "And of France? [[reply Paris.]]"},
        ]
        assert await completed(http, messages, stream=True, **features) == "Paris."

    texts = [str(it["content"]) for it in asked()[-1]["messages"]]
    assert any(ANSWER in text for text in texts)
    assert not any("chat_history" in text for text in texts)
    path = door.system.env["HUTCH_STORE"].removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as reading:
        query = "SELECT session = ?, priority FROM runs ORDER BY claimed_at"
        assert reading.execute(query, (CHAT,)).fetchall() == [
            (1, "interactive"),
            (0, "background"),
            (1, "interactive"),
        ]


async def test_a_request_without_a_message_of_the_user_is_answered(door: Door) -> None:
    async with httpx2.AsyncClient(base_url=door.url, timeout=60) as http:
        assert await completed(http, [{"role": "system", "content": "[[reply Hi.]]"}]) == "Hi."
