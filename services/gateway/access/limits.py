"""How much one key may use of this gateway: no client takes it all.

Each gateway counts for itself, so two of them allow twice as much.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from math import ceil

from services.gateway.problems import Problem
from shared.store.processes.api_keys import ApiKey

REQUESTS_PER_MINUTE = 3000
"""50 a second: a chat UI with one key for all its users needs a few; it is a fraction of what one
gateway serves."""

STREAMS = 250
"""A chat UI's users have one each, a page has two. More need another key or another gateway."""


@dataclass
class _Bucket:
    left: float
    at: float


class KeyLimits:
    def __init__(self) -> None:
        self._buckets: dict[str, _Bucket] = {}
        self._streams: Counter[str] = Counter()

    def count_request(self, key: ApiKey) -> None:
        """Raise 429 if the key has made `REQUESTS_PER_MINUTE` within the last minute."""
        per_second, now = REQUESTS_PER_MINUTE / 60, time.monotonic()
        bucket = self._buckets.setdefault(key.key_id, _Bucket(REQUESTS_PER_MINUTE, now))
        refilled = bucket.left + (now - bucket.at) * per_second
        bucket.left, bucket.at = min(refilled, REQUESTS_PER_MINUTE), now
        if bucket.left < 1:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"the key '{key.name}' may make {REQUESTS_PER_MINUTE} requests a minute",
                {"Retry-After": str(ceil((1 - bucket.left) / per_second))},
            )
        bucket.left -= 1

    def open_stream(self, key: ApiKey) -> None:
        """Count a stream until `close_stream`. Raises 429 if the key has `STREAMS` open."""
        if self._streams[key.key_id] >= STREAMS:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS,
                f"the key '{key.name}' may have {STREAMS} open streams",
                {"Retry-After": "5"},
            )
        self._streams[key.key_id] += 1

    def close_stream(self, key: ApiKey) -> None:
        self._streams[key.key_id] -= 1
