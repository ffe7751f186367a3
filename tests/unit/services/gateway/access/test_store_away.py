from __future__ import annotations

import asyncio
import time

import pytest

from services.gateway.access.keys import CACHE_S, READ_S
from shared.store import Store
from tests.support.guarded import Served, bearer, make_key
from tests.support.stores.fixtures import on_both_stores as pytest_generate_tests
from tests.support.stores.postgresql import Postgres

__all__ = ["STORES", "pytest_generate_tests"]

STORES = [pytest.param("postgresql", marks=pytest.mark.container)]


async def test_while_the_store_is_away_requests_are_refused_soon_and_open_streams_go_on(
    served: Served, store: Store, store_url: str, postgresql: Postgres
) -> None:
    key = await make_key(store, "laptop")
    async with served() as client:
        stream = client.stream("GET", "/api/stream", headers=bearer(key))
        async with asyncio.timeout(30), stream as response:
            lines = response.aiter_lines()
            assert await anext(lines) == "part"
            with postgresql.away(store_url):
                await asyncio.sleep(CACHE_S)  # the keys that were read are used until then
                began = time.monotonic()
                refused = await asyncio.gather(
                    *(client.get("/api/me", headers=bearer(key)) for _ in range(20))
                )
                assert time.monotonic() - began < READ_S + 2
                for each in refused:
                    assert (each.status_code, each.headers["Retry-After"]) == (503, "2")
                assert [await anext(lines) for _ in range(20)] == ["part"] * 20
            while (await client.get("/api/me", headers=bearer(key))).status_code == 503:
                pass
            assert (await client.get("/api/me", headers=bearer(key))).status_code == 200
            assert await anext(lines) == "part"
