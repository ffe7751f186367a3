"""Embeddings: vectors of texts, close to each other where the meanings are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel, FiniteFloat, ValidationError

from services.agent.llm.errors import invalid_reply
from services.agent.llm.replies import decoded

if TYPE_CHECKING:
    import openai


class _Embedding(BaseModel):
    index: int
    embedding: list[FiniteFloat]


class _Reply(BaseModel):
    data: list[_Embedding]


async def requested(
    client: openai.AsyncOpenAI,
    model: str,
    texts: Sequence[str],
    headers: Mapping[str, str | openai.Omit],
) -> list[list[float]]:
    """The embeddings of some texts in their order, each of length 1.

    Raises `ModelError` for a reply in another form, and the package's errors.
    """
    reply = await client.embeddings.with_raw_response.create(
        model=model,
        input=list(texts),
        encoding_format="float",  # not all endpoints know the package's own choice, base64
        extra_headers=headers,
    )
    try:
        found = _Reply.model_validate(decoded(reply.content)).data
    except ValidationError as error:
        raise invalid_reply(f"no embeddings: {error.errors()[0]['msg']}") from error
    vectors = {it.index: it.embedding for it in found}
    if sorted(vectors) != list(range(len(texts))) or len(set(map(len, vectors.values()))) != 1:
        raise invalid_reply(f"not one embedding for each of {len(texts)} texts")
    return [_unit(vectors[index]) for index in range(len(texts))]


def _unit(vector: Sequence[float]) -> list[float]:
    length = math.hypot(*vector)
    if length == 0.0 or math.isinf(length):
        raise invalid_reply("an embedding has no direction")
    return [it / length for it in vector]
