from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pydantic import JsonValue, SecretStr

from services.agent.llm.client import OpenAIModel
from services.agent.llm.registry import ModelRegistry
from shared.definitions.knowledge import Embeddings, Knowledge
from shared.definitions.model import Definition, ModelChoice
from shared.errors import ContextExceeded, ModelError, ModelFault, ModelUnavailable
from shared.settings.environment import Settings
from tests.support.model.endpoint import Answer, Endpoint, fault


@pytest.fixture
def failures() -> list[ModelFault]:
    return []


@pytest.fixture
async def model(endpoint: Endpoint, failures: list[ModelFault]) -> AsyncIterator[OpenAIModel]:
    key = SecretStr("sk-1")
    made = OpenAIModel("embed-1", endpoint.url, lambda: key, on_failure=failures.append)
    yield made
    await made.close()


def reply(*vectors: tuple[int, list[JsonValue]]) -> Answer:
    data: list[JsonValue] = [{"index": index, "embedding": it} for index, it in vectors]
    return Answer({"data": data})


@pytest.mark.essential
async def test_embeddings_come_in_the_order_of_the_texts_with_length_1(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    endpoint.script = [reply((1, [0, 2]), (0, [3, 4]))]
    assert await model.embed(["a", "b"], 5) == [[0.6, 0.8], [0.0, 1.0]]
    [asked] = endpoint.requests
    assert asked == {"model": "embed-1", "input": ["a", "b"], "encoding_format": "float"}
    assert endpoint.addresses == ["/v1/embeddings"]
    assert endpoint.keys == ["Bearer sk-1"]


@pytest.mark.parametrize(
    "answer",
    [
        reply((0, [1, 2])),
        reply((0, [1, 2]), (0, [1, 2])),
        reply((0, [1, 2]), (1, [1, 2, 3])),
        reply((0, [0, 0]), (1, [1, 0])),
        reply((0, ["x"]), (1, [1])),
        reply((0, []), (1, [])),
        Answer({"data": "AACAPw=="}),
        Answer(b'{"data": [{"index": 0, "embedding": [NaN]}, {"index": 1, "embedding": [1]}]}'),
        Answer([]),
    ],
)
async def test_a_reply_in_another_form_is_an_error(
    endpoint: Endpoint, model: OpenAIModel, failures: list[ModelFault], answer: Answer
) -> None:
    endpoint.script = [answer]
    with pytest.raises(ModelError, match="the endpoint's reply is not usable"):
        await model.embed(["a", "b"], 5)
    assert len(failures) == 1


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 8192 tokens, however you requested 9000 tokens",
        "input is too large to process. increase the physical batch size",
        "Input validation error: `inputs` must have less than 512 tokens. Given: 600",
        "the input length exceeds the context length",
    ],
)
async def test_texts_that_are_too_long_for_the_model_are_a_fault_of_their_own(
    endpoint: Endpoint, model: OpenAIModel, message: str
) -> None:
    endpoint.script = [fault(500 if "batch" in message else 400, message=message)]
    with pytest.raises(ContextExceeded):
        await model.embed(["a"], 5)


async def test_one_request_is_made_and_no_longer_waited_than_asked(
    endpoint: Endpoint, model: OpenAIModel
) -> None:
    endpoint.script = [fault(503), Answer(None, delay_s=5)]
    for within_s in (5.0, 0.1):
        with pytest.raises(ModelUnavailable):
            await model.embed(["a"], within_s)
    assert len(endpoint.requests) == 2


@pytest.mark.parametrize(
    ("embeddings", "address"),
    [
        (Embeddings(name="small"), "https://models.example/v1"),
        (Embeddings(name="small", base_url="https://other.example/v1"), "https://other.example/v1"),
    ],
)
def test_embeddings_are_at_the_endpoint_of_the_agents_model_unless_they_name_another(
    embeddings: Embeddings, address: str
) -> None:
    choice = ModelChoice(name="big", base_url="https://models.example/v1")
    knowledge = Knowledge(paths=("docs",), embeddings=embeddings)
    registry = ModelRegistry(Settings(_env_file=None), lambda _: None)
    found = registry.of_embeddings(Definition(name="alice", model=choice, knowledge=knowledge))
    assert found is not None
    assert (found.name, found.base_url) == ("small", address)
    assert registry.of_embeddings(Definition(name="alice", model=choice)) is None
