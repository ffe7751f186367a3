"""An endpoint of embeddings for tests: texts have a meaning in common if they have such words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared.errors import ContextExceeded, ModelError
from tests.support.model.endpoint import served

MEANINGS = (("refund", "money", "pay"), ("return", "send back", "bring"), ("ship", "deliver"))


def meaning(text: str) -> list[float]:
    """A vector with a number for each meaning; the last is in all texts."""
    has = [any(word in text.casefold() for word in words) for words in MEANINGS]
    return [*(float(it) for it in has), 0.01]


@dataclass
class Meanings:
    """The same without a network; `fault` is raised once it is set."""

    name: str = "meanings"
    longest: int | None = None
    """The longest text that it reads."""
    fault: ModelError | None = None
    texts: list[str] = field(default_factory=list)
    """Those that have been embedded."""

    async def embed(self, texts: Sequence[str], within_s: float) -> list[list[float]]:
        if self.fault:
            raise self.fault
        if self.longest and any(len(it) > self.longest for it in texts):
            raise ContextExceeded("too long")
        self.texts += texts
        return [meaning(it) for it in texts]


@dataclass
class MeaningsEndpoint:
    """With `down` it answers 503."""

    url: str = ""
    down: bool = False
    texts: list[str] = field(default_factory=list)

    async def _answer(self, request: Request) -> Response:
        if self.down:
            return Response(status_code=503)
        texts = json.loads(await request.body())["input"]
        self.texts += texts
        data = [{"index": n, "embedding": meaning(it)} for n, it in enumerate(texts)]
        return JSONResponse({"data": data[::-1]})

    @contextmanager
    def serving(self) -> Iterator[MeaningsEndpoint]:
        with served([Route("/v1/embeddings", self._answer, methods=["POST"])]) as origin:
            self.url = f"{origin}/v1"
            yield self
