"""An HTTP server that plays every row of the matrix, each under a path of its own."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.support.model.endpoint import served
from tests.support.model.endpoints import replies
from tests.support.model.endpoints.conversation import Body, line
from tests.support.model.endpoints.matrix import BY_NAME, Row
from tests.support.model.endpoints.rules import Refusal, every_call_is_answered


@dataclass
class Endpoints:
    """`requests` and `refusals` hold what each row has got and has refused."""

    requests: dict[str, list[Body]] = field(default_factory=lambda: defaultdict(list))
    refusals: dict[str, list[Refusal]] = field(default_factory=lambda: defaultdict(list))
    origin: str = ""

    def url(self, row: Row) -> str:
        if row.profile == "azure-deployment":
            return f"{self.origin}/{row.name}/openai/deployments/mine?api-version=2024-10-21"
        return f"{self.origin}/{row.name}/v1"

    def reset(self) -> Endpoints:
        self.requests.clear()
        self.refusals.clear()
        return self

    async def _answer(self, http: Request) -> Response:
        row: Row = BY_NAME[http.path_params["row"]]
        body: Body = json.loads(await http.body())
        self.requests[row.name].append(body)
        if row.first and len(self.requests[row.name]) == 1:
            return JSONResponse(row.first.body, row.first.status)
        headers = {**http.headers, "x-query": http.url.query}
        rules = [*([every_call_is_answered] if "messages" in body else []), *row.rules]
        for rule in rules:
            if refusal := rule(body, headers):
                self.refusals[row.name].append(refusal)
                return JSONResponse(refusal.body, refusal.status)
        return self._spoken(row, body)

    def _spoken(self, row: Row, body: Body) -> Response:
        said = line(body)
        if "input" in body:
            reply = replies.response(said, row.model, reasons=row.reasons)
            stream = replies.events(reply)
        else:
            reply = replies.completion(said, row.model)
            for dress in row.dress:
                dress(reply, said)
            with_usage = (body.get("stream_options") or {}).get("include_usage", False)
            stream = replies.chunks(reply, with_usage=with_usage)
        if body.get("stream", row.streams_unless_told):
            return StreamingResponse(_after(row.prefix, stream), media_type="text/event-stream")
        return Response(row.prefix + json.dumps(reply), media_type="application/json")

    @contextmanager
    def serving(self) -> Iterator[Endpoints]:
        """In a thread of its own, so that it can outlive the event loop of one test."""
        paths = ("v1/chat/completions", "v1/responses", "openai/deployments/mine/chat/completions")
        routes = [Route(f"/{{row}}/{path}", self._answer, methods=["POST"]) for path in paths]
        with served(routes) as self.origin:
            yield self


def _after(prefix: str, stream: Iterator[str]) -> Iterator[str]:
    if prefix:
        yield prefix
    yield from stream
