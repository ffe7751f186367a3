"""Replies with status 200: read where they contain an answer, retried where they do not."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import pytest
from pydantic import JsonValue, SecretStr

from services.agent.llm import client as model_module
from services.agent.llm.chat import (
    Assistant,
    ChatMessage,
    Completion,
    Request,
    ToolCall,
    ToolResult,
    User,
)
from services.agent.llm.client import ATTEMPTS, OpenAIModel
from services.agent.llm.replies import MOST_TOKENS
from services.agent.llm.transport import MAX_COMPRESSED_BYTES, MAX_REPLY_BYTES
from shared.contract.messages import Usage
from shared.errors import ModelError, ModelUnavailable
from tests.support.model.endpoint import Answer, Endpoint, completion

KEY = SecretStr("secret-1234")
HISTORY: list[ChatMessage] = [User(content="Hello")]
HI = completion(content="Hi.")


@pytest.fixture
async def model(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenAIModel]:
    monkeypatch.setattr(model_module, "_backoff_s", lambda _: 0.0)
    made = OpenAIModel("tiny", endpoint.url, lambda: KEY)
    yield made
    await made.close()


def with_usage(**usage: JsonValue) -> JsonValue:
    return {"choices": [{"message": {"content": "Hi."}}], "usage": usage}


def choice(content: str | None = "Hi.", **fields: JsonValue) -> JsonValue:
    return {"message": {"content": content}, **fields}


@pytest.mark.parametrize(
    ("reported", "counted"),
    [
        (7, 7),
        (7.0, 7),
        ("7", 7),
        (MOST_TOKENS, MOST_TOKENS),
        (None, 0),
        (-1, 0),
        (10**400, 0),
        (1e300, 0),
        (1.5, 0),
        (float("nan"), 0),
        (float("inf"), 0),
        ("many", 0),
        ("9" * 30, 0),
        (True, 0),
        ([7], 0),
        ({"count": 7}, 0),
    ],
)
async def test_an_invalid_number_of_tokens_is_read_as_zero(
    endpoint: Endpoint, model: OpenAIModel, reported: JsonValue, counted: int
) -> None:
    endpoint.script = [Answer(with_usage(prompt_tokens=reported, completion_tokens=reported))]
    reply = await model.complete(Request(HISTORY))
    assert reply.content == "Hi."
    assert reply.usage == Usage(model_calls=1, input_tokens=counted, output_tokens=counted)


async def test_a_number_that_python_does_not_read_spoils_no_reply(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    body = json.dumps(with_usage(prompt_tokens=0)).replace(": 0", ": 1" + "0" * 5_000)
    endpoint.script = [Answer(body.encode())]
    reply = await model.complete(Request(HISTORY))
    assert (reply.content, reply.usage.input_tokens) == ("Hi.", 0)


@pytest.mark.parametrize("usage", [None, [], "none", 7, {}, {"prompt_tokens_details": []}])
async def test_a_usage_that_is_none_spoils_no_reply(
    endpoint: Endpoint, model: OpenAIModel, usage: JsonValue
) -> None:
    endpoint.script = [Answer({"choices": [choice()], "usage": usage})]
    assert await model.complete(Request(HISTORY)) == Completion(content="Hi.")


async def test_wrong_types_in_unused_fields_are_ignored(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    call: JsonValue = {"id": 5, "type": 7, "function": {"name": "lookup", "arguments": "{}"}}
    message: JsonValue = {"content": None, "role": 5, "tool_calls": [call]}
    one: JsonValue = {"message": message, "index": "x", "logprobs": 3, "error": None}
    odd: JsonValue = {"created": "x", "id": 5, "object": [], "model": {}, "error": None}
    endpoint.script = [Answer({"choices": [one], **odd})]  # type: ignore[dict-item]  # it is one
    reply = await model.complete(Request(HISTORY))
    assert reply == Completion(tool_calls=(ToolCall(name="lookup", arguments="{}"),))


@pytest.mark.parametrize("prefix", [b"\xef\xbb\xbf", b"\r\n \n"])
async def test_a_mark_or_space_before_the_json_is_no_part_of_it(
    endpoint: Endpoint, model: OpenAIModel, prefix: bytes
) -> None:
    endpoint.script = [Answer(prefix + json.dumps(HI).encode())]
    assert (await model.complete(Request(HISTORY))).content == "Hi."


async def test_text_in_one_choice_and_calls_in_another_are_one_reply(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    call: JsonValue = {"function": {"name": "lookup", "arguments": "{}"}}
    calls: JsonValue = {"message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}
    endpoint.script = [Answer({"choices": [choice("I look.", finish_reason="stop"), calls]})]
    assert await model.complete(Request(HISTORY)) == Completion(
        content="I look.",
        tool_calls=(ToolCall(name="lookup", arguments="{}"),),
        finish_reason="tool_calls",
    )


LATER: dict[str, JsonValue | bytes] = {
    "an error inside": {"error": {"message": "overloaded secret-1234"}},
    "an error beside half a text": {"choices": [choice("Half")], "error": {"code": 502}},
    "an error that may pass": {"error": {"code": 429, "message": "slow down"}},
    "an error that is a text": {"error": "overloaded"},
    "an error in the choice": {"choices": [choice("Half", error={"code": 500})]},
    "a text that ends with an error": {"choices": [choice("Half", finish_reason="error")]},
    "no choices": {},
    "choices that are null": {"choices": None},
    "an empty list of choices": {"choices": []},
    "an empty body": b"",
    "white space": b" \n",
    "a body that is cut off": json.dumps(HI).encode()[:-20],
    "an object that is no JSON": b'{"choices": nothing}',
}


@pytest.mark.parametrize("what", LATER)
async def test_a_reply_without_an_answer_is_retried(
    endpoint: Endpoint, model: OpenAIModel, what: str
) -> None:
    endpoint.script = [Answer(LATER[what]), Answer(HI)]
    assert (await model.complete(Request(HISTORY))).content == "Hi."


@pytest.mark.parametrize("what", LATER)
async def test_a_model_whose_replies_never_contain_an_answer_is_unavailable(
    endpoint: Endpoint, model: OpenAIModel, what: str
) -> None:
    endpoint.script = [Answer(LATER[what])] * ATTEMPTS
    with pytest.raises(ModelUnavailable) as caught:
        await model.complete(Request(HISTORY))
    assert "the endpoint's reply" in str(caught.value)
    assert KEY.get_secret_value() not in str(caught.value)


NEVER: dict[str, JsonValue | bytes] = {
    "a web page": b"<html>",
    "no UTF-8": b"\xff",
    "no JSON": b"NaN is no object",
    "a list": [HI],
    "a text": "Hi.",
    "null": b"null",
    "JSON nested too deep": b'{"choices": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "lists nested too deep": b"[" * 100_000 + b"]" * 100_000,
    "choices that are no list": {"choices": {"0": choice()}},
    "a choice that is none": {"choices": ["Hi."]},
    "a choice without a message": {"choices": [{"text": "Hi."}]},
    "content that is no text": {"choices": [{"message": {"content": 7}}]},
    "calls that are none": {"choices": [{"message": {"tool_calls": ["lookup"]}}]},
    "a call of nothing": {"choices": [{"message": {"tool_calls": [{"id": "1"}]}}]},
    "a reason that is no text": {"choices": [choice(finish_reason=7)]},
    "an error that lasts": {"error": {"code": 400, "message": "bad secret-1234"}},
    "a spent balance": {"error": {"code": 402, "message": "pay"}},
    "a reply that is too long": b" " * MAX_REPLY_BYTES + json.dumps(HI).encode(),
}


@pytest.mark.parametrize("what", NEVER)
async def test_a_reply_that_is_no_completion_is_a_model_error_at_once(
    endpoint: Endpoint, model: OpenAIModel, what: str
) -> None:
    endpoint.script = [Answer(NEVER[what])]
    with pytest.raises(ModelError) as caught:
        await model.complete(Request(HISTORY))
    assert "the endpoint's reply" in str(caught.value)
    assert KEY.get_secret_value() not in str(caught.value)
    assert not isinstance(caught.value, ModelUnavailable)
    assert len(endpoint.requests) == 1


async def test_a_reply_that_weighs_little_and_unfolds_to_much_is_not_read(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    bomb = gzip.compress(b" " * (MAX_COMPRESSED_BYTES * 1_100))
    assert MAX_COMPRESSED_BYTES < len(bomb) < MAX_REPLY_BYTES
    endpoint.script = [Answer(bomb, headers={"content-encoding": "gzip"})]
    with pytest.raises(ModelError, match="the endpoint's reply is longer"):
        await model.complete(Request(HISTORY))
    assert endpoint.headers[0]["accept-encoding"] == "identity"


async def test_a_reply_that_is_compressed_all_the_same_is_read(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    body = gzip.compress(json.dumps(HI).encode())
    endpoint.script = [Answer(body, headers={"content-encoding": "gzip"})]
    assert (await model.complete(Request(HISTORY))).content == "Hi."


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("<think>\nHm.\n</think>\n\nHi.", "Hi."),
        ("Hm.\n</think>\n\nHi.", "Hi."),
        ("<think>Hm.", ""),
        ("<think></think>Hi. <think> is a tag, </think> too", "Hi. <think> is a tag, </think> too"),
        ("It ends with </think> here.", "It ends with </think> here."),
        ([{"type": "text", "text": "H"}, {"type": "text", "text": "i."}], "Hi."),
        ([{"type": "thinking", "thinking": []}, {"type": "text", "text": "Hi."}, "!", 7], "Hi.!"),
        ([{"type": "text", "text": None}], ""),
        ([], ""),
    ],
)
async def test_reasoning_and_other_parts_are_left_out_of_the_text(
    endpoint: Endpoint, model: OpenAIModel, said: JsonValue, read: str
) -> None:
    endpoint.script = [Answer(completion(content=said))]
    assert (await model.complete(Request(HISTORY))).text == read


@pytest.mark.parametrize("body", [b":\n" * 4_000_000, b"\n" * 8_000_000, b": " * 4_000_000])
async def test_a_body_of_comments_alone_is_read_at_once(
    endpoint: Endpoint, model: OpenAIModel, body: bytes
) -> None:
    endpoint.script = [Answer(body), Answer(HI)]
    async with asyncio.timeout(60):  # in quadratic time it would take hours
        assert (await model.complete(Request(HISTORY))).content == "Hi."


async def test_comments_before_a_reply_are_skipped(endpoint: Endpoint, model: OpenAIModel) -> None:
    comments = b": PROCESSING\n\n: PROCESSING\r\n\r\n"
    endpoint.script = [Answer(comments + json.dumps(HI).encode())]
    assert (await model.complete(Request(HISTORY))).content == "Hi."


@pytest.mark.parametrize(
    ("details", "counted"),
    [({"cached_tokens": 5}, 5), ({"cached_tokens": 50}, 7), ({"cached_tokens": "x"}, 0), ([], 0)],
)
async def test_cached_tokens_are_part_of_the_input(
    endpoint: Endpoint, model: OpenAIModel, details: JsonValue, counted: int
) -> None:
    endpoint.script = [Answer(with_usage(prompt_tokens=7, prompt_tokens_details=details))]
    usage = (await model.complete(Request(HISTORY))).usage
    assert (usage.input_tokens, usage.cached_tokens) == (7, counted)


async def test_kept_fields_go_back_to_their_endpoint_and_model_only(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    call: JsonValue = {
        "id": "1",
        "extra_content": {"google": {"thought_signature": "abc"}},
        "function": {"name": "lookup", "arguments": "{}"},
    }
    said = completion(
        content=None, tool_calls=[call], reasoning_content="Hm.", annotations=[], audio=None, odd=""
    )
    endpoint.script = [Answer(said), *[Answer(HI)] * 3]
    reply = await model.complete(Request(HISTORY))
    assert reply.kept
    assert reply.kept.message == {"reasoning_content": "Hm."}
    ours = tuple(it.resendable("c00010001") for it in reply.tool_calls)
    result = ToolResult(call_id="c00010001", name="lookup", content="found")
    said_so = Assistant(content=None, tool_calls=ours, kept=reply.kept)
    request = Request([*HISTORY, said_so, result])
    other = OpenAIModel("other", endpoint.url)
    elsewhere = OpenAIModel("tiny", endpoint.url.replace("/v1", "/v2"))
    for asked in (model, other, elsewhere):
        await asked.complete(request)
    await other.close()
    await elsewhere.close()
    sent = [json.dumps(it) for it in endpoint.requests[1:]]
    assert ["thought_signature" in it for it in sent] == [True, False, False]
    assert ["reasoning_content" in it for it in sent] == [True, False, False]
