from __future__ import annotations

import asyncio

from services.gateway.access.keys import RECENT_S
from shared.store import Store
from tests.unit.services.gateway.access.conftest import Served, bearer, make_key


async def test_on_loopback_no_key_is_needed_until_one_is_made(served: Served, store: Store) -> None:
    async with served() as client:
        assert (await client.get("/api/me")).json()["open"] is True
        key = await make_key(store, "laptop")
        await asyncio.sleep(RECENT_S)  # what a person needs to copy the key
        me = (await client.get("/api/me", headers=bearer(key))).json()
        assert (me["name"], me["scopes"], me["open"]) == ("laptop", ["read", "run"], False)
    async with served() as client:
        refused = await client.get("/api/me")
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"] == "Bearer"
        assert "hutch keys add" in refused.json()["detail"]
