from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import openai
import pytest
from pydantic import JsonValue, SecretStr

from services.agent.llm.chat import (
    Assistant,
    ChatMessage,
    Completion,
    Request,
    System,
    ToolCall,
    ToolResult,
    ToolSpec,
    User,
)
from services.agent.llm.client import ATTEMPTS, OpenAIModel
from services.agent.llm.errors import translate_error
from shared.contract.messages import Usage
from shared.definitions.functions import JsonObject
from shared.definitions.model import ModelChoice, ProfileName
from shared.errors import ModelError, ModelFault, ModelUnavailable
from shared.settings.secrets import secret
from tests.support.model.endpoint import Answer, Endpoint, completion, fault

KEY = SecretStr("sk-secret-1234")
HISTORY: list[ChatMessage] = [System(content="Be brief."), User(content="Hello")]
TOOL = ToolSpec(name="lookup", description="Finds.", parameters={"type": "object"})
SOON = {"retry_after_ms": "1"}


@pytest.fixture
async def model(endpoint: Endpoint) -> AsyncIterator[OpenAIModel]:
    made = OpenAIModel("tiny", endpoint.url, lambda: KEY)
    yield made
    await made.close()


async def failure(model: OpenAIModel) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await model.complete(Request(HISTORY))
    assert KEY.get_secret_value() not in f"{caught.value} {caught.value.public}"
    return caught.value


# Requests and replies


async def test_a_reply_becomes_a_completion(endpoint: Endpoint, model: OpenAIModel) -> None:
    endpoint.script = [Answer(completion(content="Hi."))]
    assert await model.complete(Request(HISTORY)) == Completion(
        content="Hi.",
        finish_reason="stop",
        usage=Usage(model_calls=1, input_tokens=7, output_tokens=3),
        model="tiny-1",
    )
    assert endpoint.keys == ["Bearer sk-secret-1234"]


async def test_no_request_has_a_field_that_some_model_refuses(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    endpoint.script = [Answer(completion(content="Hi."))]
    await model.complete(Request(HISTORY))
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
    ]
    assert endpoint.requests == [{"model": "tiny", "messages": messages, "stream": False}]


async def test_tools_calls_and_results_go_out_in_the_native_form(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    endpoint.script = [Answer(completion(content="Hi."))]
    call = ToolCall(id="c00010001", name="lookup", arguments="{}")
    result = ToolResult(call_id="c00010001", name="lookup", content="found")
    history: list[ChatMessage] = [Assistant(content=None, tool_calls=(call,)), result]
    await model.complete(Request(history, [TOOL]))
    sent = endpoint.requests[0]
    function: JsonValue = {"name": "lookup", "arguments": "{}"}
    assert sent["messages"] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c00010001", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c00010001", "content": "found"},
    ]
    described = {"name": "lookup", "description": "Finds.", "parameters": {"type": "object"}}
    assert sent["tools"] == [{"type": "function", "function": described}]


@pytest.mark.parametrize(
    ("arguments", "read"),
    [('{"a": 1}', '{"a": 1}'), ({"a": 1}, '{"a": 1}'), (None, ""), ("", ""), ('"\ud83d', '"?')],
)
async def test_calls_are_read_however_endpoints_write_them(
    endpoint: Endpoint, model: OpenAIModel, arguments: JsonValue, read: str
) -> None:
    call: JsonValue = {"function": {"name": "lookup", "arguments": arguments}}
    endpoint.script = [Answer(completion(content=None, tool_calls=[call]))]
    got = await model.complete(Request(HISTORY, [TOOL]))
    assert got.tool_calls == (ToolCall(id="", name="lookup", arguments=read),)


async def test_a_reply_without_usage_model_or_reason_is_a_reply(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    endpoint.script = [Answer({"choices": [{"message": {"content": "Hi.", "tool_calls": None}}]})]
    assert await model.complete(Request(HISTORY)) == Completion(content="Hi.")


async def test_a_refusal_is_read(endpoint: Endpoint, model: OpenAIModel) -> None:
    endpoint.script = [Answer(completion(content=None, refusal="I won't."))]
    assert (await model.complete(Request(HISTORY))).refusal == "I won't."


async def test_schema_protocol_constrains_the_choice(endpoint: Endpoint) -> None:
    choice = '{"action": "lookup", "arguments": {"order": 1}}'
    endpoint.script = [Answer(completion(content=choice)), Answer(completion(content="Hi."))]
    model = OpenAIModel("tiny", endpoint.url, tool_protocol="schema")
    with_tool = await model.complete(Request(HISTORY, [TOOL]))
    assert with_tool.tool_calls == (ToolCall(name="lookup", arguments='{"order": 1}'),)
    assert (await model.complete(Request(HISTORY))).content == "Hi."
    await model.close()
    first, second = endpoint.requests
    assert first.keys() == {"model", "messages", "stream", "response_format"}
    assert second.keys() == {"model", "messages", "stream"}


# Faults


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
async def test_a_passing_fault_is_tried_again(
    endpoint: Endpoint, model: OpenAIModel, status: int
) -> None:
    endpoint.script = [fault(status, **SOON), Answer(completion(content="Hi."))]
    assert (await model.complete(Request(HISTORY))).content == "Hi."


@pytest.mark.parametrize(
    ("status", "public"),
    [
        (400, "request"),
        (401, "key"),
        (403, "key"),
        (404, "model"),
        (413, "failed"),
        (422, "failed"),
    ],
)
async def test_a_lasting_fault_is_not_tried_again(
    endpoint: Endpoint, model: OpenAIModel, status: int, public: str
) -> None:
    endpoint.script = [fault(status, message="wrong: sk-secret-1234", **SOON)]
    error = await failure(model)
    assert f"answered {status}: wrong" in str(error)
    assert public in error.public
    assert not isinstance(error, ModelUnavailable)
    assert len(endpoint.requests) == 1


async def test_a_spent_quota_is_not_tried_again(endpoint: Endpoint, model: OpenAIModel) -> None:
    endpoint.script = [fault(429, "insufficient_quota", **SOON)]
    error = await failure(model)
    assert (error.public, error.reason) == ("the model's quota is spent", "quota")
    assert not isinstance(error, ModelUnavailable)
    assert len(endpoint.requests) == 1


async def test_a_wait_that_is_too_long_for_a_call_is_raised_with_the_error(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    endpoint.script = [fault(429, retry_after="3600")]
    error = await failure(model)
    assert isinstance(error, ModelUnavailable)
    assert (error.public, error.wait_s) == ("the model is overloaded", 3600)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    "said", ["0", "-5", "soon", pytest.param(format_datetime(datetime.now(UTC)), id="a date")]
)
async def test_retry_after_is_read_in_every_form(
    endpoint: Endpoint, model: OpenAIModel, said: str
) -> None:
    endpoint.script = [fault(503, retry_after=said), Answer(completion(content="Hi."))]
    assert (await model.complete(Request(HISTORY))).content == "Hi."


async def test_a_date_an_hour_away_is_not_waited_for(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    endpoint.script = [fault(503, retry_after=later)]
    error = await failure(model)
    assert isinstance(error, ModelUnavailable)
    assert error.wait_s == pytest.approx(3600, abs=60)


async def test_attempts_come_to_an_end(endpoint: Endpoint, model: OpenAIModel) -> None:
    endpoint.script = [fault(500, **SOON)] * (ATTEMPTS + 1)
    error = await failure(model)
    assert isinstance(error, ModelUnavailable)
    assert error.public == "the model's endpoint failed"
    assert len(endpoint.requests) == ATTEMPTS


async def test_every_failed_attempt_is_reported_with_its_reason(endpoint: Endpoint) -> None:
    failures: list[ModelFault] = []
    endpoint.script = [fault(429, **SOON), fault(529, **SOON), Answer(completion(content="Hi."))]
    endpoint.script += [fault(400), fault(403), fault(429, "insufficient_quota"), Answer([])]
    model = OpenAIModel("tiny", endpoint.url, lambda: KEY, on_failure=failures.append)
    assert (await model.complete(Request(HISTORY))).content == "Hi."
    assert failures == ["rate_limited", "unavailable"]
    for _ in range(4):
        await failure(model)
    await model.close()
    assert failures[2:] == ["refused", "refused", "quota", "invalid"]


async def test_a_slow_endpoint_is_unavailable(endpoint: Endpoint) -> None:
    endpoint.script = [Answer(delay_s=5)] * ATTEMPTS
    model = OpenAIModel("tiny", endpoint.url, lambda: KEY, attempt_s=0.05)
    error = await failure(model)
    assert isinstance(error, ModelUnavailable)
    assert (error.public, error.reason) == ("the model timed out", "timeout")
    await model.close()


async def test_an_unreachable_endpoint_is_unavailable() -> None:
    with Endpoint().serving() as gone:
        url = gone.url
    model = OpenAIModel("tiny", url, lambda: KEY)
    error = await failure(model)
    assert isinstance(error, ModelUnavailable)
    assert (error.public, error.reason) == ("the model can't be reached", "unavailable")
    await model.close()


async def test_the_key_is_asked_for_at_each_call_and_one_that_cannot_be_read_may_come_back(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "key"
    monkeypatch.setenv("ALICES_KEY_FILE", str(file))
    model = OpenAIModel("tiny", endpoint.url, lambda: secret("ALICES_KEY"))
    endpoint.script = [Answer(completion(content="Hi."))] * 2
    for key in ("first", "second"):
        file.write_text(f"{key}\n")
        await model.complete(Request([User(content="Hello")]))
    assert endpoint.keys == ["Bearer first", "Bearer second"]
    file.unlink()
    error = await failure(model)
    assert isinstance(error, ModelUnavailable)
    assert str(error) == f"ALICES_KEY_FILE names a file that can't be read: '{file}'"
    assert error.public == "the model's key can't be read"
    await model.close()


def errors(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for child in root.__subclasses__():
        yield from errors(child)


def instance(kind: type[Exception]) -> Exception:
    """An error of any class of the package, made without its many constructors."""
    made = kind.__new__(kind)
    Exception.__init__(made, "told sk-secret-1234")
    status: int = getattr(kind, "status_code", 500)
    response = SimpleNamespace(headers={})
    vars(made).update(body=None, code=None, type=None, status_code=status, response=response)
    return made


@pytest.mark.parametrize("kind", list(errors(openai.OpenAIError)))
def test_every_error_of_the_package_has_a_translation(kind: type[Exception]) -> None:
    error = translate_error(instance(kind), KEY)
    assert isinstance(error, ModelError)
    assert "sk-secret" not in f"{error} {error.public}"


def test_starting_an_agent_does_not_import_the_package() -> None:
    program = "import sys, services.agent.llm.client; sys.exit('openai' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


async def test_at_the_turn_limit_a_choice_becomes_its_text(endpoint: Endpoint) -> None:
    """When tools are no longer offered after calls, no JSON is left in the answer."""
    endpoint.script = [Answer(completion(content='{"action": "answer", "answer": "Done."}'))]
    model = OpenAIModel("tiny", endpoint.url, tool_protocol="schema")
    call = Assistant(content=None, tool_calls=(ToolCall(name="lookup", arguments="{}"),))
    concluded = await model.complete(Request([*HISTORY, call]))
    await model.close()
    assert concluded.content == "Done."


def integer(**limits: JsonValue) -> JsonObject:
    """A schema of answers with one integer."""
    return {
        "type": "object",
        "properties": {"n": {"type": "integer", **limits}},
        "required": ["n"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("profile", "sent"),
    [
        ("generic", {"minimum": 1}),
        ("openai", {"minimum": 1}),
        ("groq", {"description": "(minimum: 1)"}),
    ],
)
async def test_an_answers_schema_is_sent_without_the_keywords_that_an_endpoint_refuses(
    endpoint: Endpoint, profile: ProfileName, sent: JsonObject
) -> None:
    endpoint.script = [Answer(completion(content='{"n": 1}'))]
    model = OpenAIModel("tiny", endpoint.url, choice=ModelChoice(profile=profile, api="chat"))
    await model.complete(Request(HISTORY, answer_schema=integer(minimum=1)))
    await model.close()
    schema = {"name": "answer", "strict": True, "schema": integer(**sent)}
    form = {"type": "json_schema", "json_schema": schema}
    assert endpoint.requests[0]["response_format"] == form


async def test_a_schema_without_a_strict_form_is_not_sent_as_strict(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    endpoint.script = [Answer(completion(content="{}"))]
    any_object: JsonObject = {"type": "object", "additionalProperties": True}
    await model.complete(Request(HISTORY, answer_schema=any_object, strict_answer=False))
    schema = {"name": "answer", "strict": False, "schema": any_object}
    form = {"type": "json_schema", "json_schema": schema}
    assert endpoint.requests[0]["response_format"] == form
