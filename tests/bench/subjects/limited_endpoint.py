"""A model's endpoint with a rate limit: `… limited_endpoint REQUESTS WINDOW_S`.

It answers so many requests in any window of so many seconds, each after `ANSWER_S`; the others with
429 and the time to wait. `GET /report` says how many it has answered and refused,
and the seconds from the first to the last answer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.bench.subjects.endpoint import COMPLETION

ANSWER_S = 0.2


class Limited:
    def __init__(self, requests: int, window_s: float) -> None:
        self._most, self._window_s = requests, window_s
        self._answered_at: deque[float] = deque()
        self.answered = self.refused = 0
        self.began_at = 0.0

    async def complete(self, _: Request) -> Response:
        now = time.monotonic()
        while self._answered_at and self._answered_at[0] <= now - self._window_s:
            self._answered_at.popleft()
        if len(self._answered_at) >= self._most:
            self.refused += 1
            wait_ms = (self._answered_at[0] + self._window_s - now) * 1000
            fault = {"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}}
            return JSONResponse(fault, 429, {"retry-after-ms": f"{wait_ms:.0f}"})
        self.answered += 1
        self.began_at = self.began_at or now
        self._answered_at.append(now)
        await asyncio.sleep(ANSWER_S)
        return Response(json.dumps(COMPLETION), media_type="application/json")

    async def report(self, _: Request) -> Response:
        lasted_s = self._answered_at[-1] - self.began_at if self._answered_at else 0.0
        found = {"answered": self.answered, "refused": self.refused, "lasted_s": lasted_s}
        return JSONResponse(found)


def main() -> None:
    limited = Limited(int(sys.argv[1]), float(sys.argv[2]))
    routes = [
        Route("/v1/chat/completions", limited.complete, methods=["POST"]),
        Route("/report", limited.report),
    ]
    server = uvicorn.Server(uvicorn.Config(Starlette(routes=routes), port=0, log_level="info"))
    server.run()


if __name__ == "__main__":
    main()
