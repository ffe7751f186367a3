"""Which requests need a key, and which keys are accepted."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from itertools import product

import pytest

from services.gateway.access.keys import CACHE_S, RECENT_S
from shared.store import Store
from shared.store.processes import api_keys
from shared.store.processes.api_keys import Scope
from tests.support.guarded import Served, bearer, make_key

ELSEWHERE = {"HUTCH_GATEWAY_HOST": "0.0.0.0"}


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


async def test_revoking_the_last_key_does_not_open_the_gateway(
    served: Served, store: Store
) -> None:
    await make_key(store, "laptop")
    await store.write("", partial(api_keys.revoke, name="laptop"))
    async with served() as client:
        assert (await client.get("/api/me")).status_code == 401


async def test_at_another_address_a_key_is_needed_even_before_there_is_one(
    served: Served, store: Store
) -> None:
    async with served(**ELSEWHERE) as client:
        assert (await client.get("/api/me")).status_code == 401
    async with served(**ELSEWHERE, HUTCH_GATEWAY_OPEN="1") as client:
        assert (await client.get("/api/me")).json()["open"] is True
        await make_key(store, "laptop")
        await asyncio.sleep(CACHE_S)
        assert (await client.get("/api/me")).status_code == 401


async def test_where_no_key_is_needed_a_client_librarys_key_is_ignored_but_ours_is_checked(
    served: Served,
) -> None:
    async with served() as client:
        for placeholder in ("sk-unused", "none", "EMPTY"):
            assert (await client.get("/api/me", headers=bearer(placeholder))).status_code == 200
        unknown = api_keys.generate()
        assert (await client.get("/api/me", headers=bearer(unknown))).status_code == 401


async def test_wrong_keys_are_refused_in_any_form(served: Served, store: Store) -> None:
    key = await make_key(store, "laptop")
    other = await make_key(store, "other")
    forged = "_".join([*key.split("_")[:2], other.split("_")[2]])
    wrong = [
        f"Bearer {key[:-1]}",
        f"Bearer {key[:-1]}{'1' if key[-1] == '0' else '0'}",
        f"Bearer {forged}",
        f"Bearer {key.upper()}",
        f"Bearer {key},{key}",
        f"Bearer {key} x",
        f"Basic {key}",
        key,
        "Bearer",
        "Bearer hk_" + "9" * 20_000,
        "Bearer hk_0123456789ab_" + "\u00e9" * 64,
    ]
    async with served() as client:
        for header in wrong:
            raw = [(b"authorization", header.encode("latin-1"))]
            assert (await client.get("/api/me", headers=raw)).status_code == 401, header
        twice = [("authorization", f"Bearer {key}")] * 2
        assert (await client.get("/api/me", headers=twice)).status_code == 401
        for header in (f"bearer {key}", f"BEARER  {key}"):
            right = await client.get("/api/me", headers={"Authorization": header})
            assert right.status_code == 200, header


async def test_a_revoked_key_stops_within_five_seconds_and_its_streams_with_it(
    served: Served, store: Store
) -> None:
    key = await make_key(store, "laptop")
    async with served() as client:
        assert (await client.get("/api/me", headers=bearer(key))).status_code == 200
        async with client.stream("GET", "/api/stream", headers=bearer(key)) as stream:
            lines = stream.aiter_lines()
            assert await anext(lines) == "part"
            await store.write("", partial(api_keys.revoke, name="laptop"))
            async with asyncio.timeout(5):
                assert all([line == "part" async for line in lines])
        assert (await client.get("/api/me", headers=bearer(key))).status_code == 401


async def test_what_a_request_waits_for_is_not_sent_after_its_key_is_revoked(
    served: Served, store: Store
) -> None:
    key = await make_key(store, "laptop")
    async with served() as client:
        refused = await client.get("/api/revoked", headers=bearer(key))
    assert (refused.status_code, "the answer" in refused.text) == (401, False)
    assert refused.json()["detail"] == "this key is unknown or revoked"


async def test_a_key_does_what_its_scope_includes(served: Served, store: Store) -> None:
    keys = {scope: await make_key(store, scope.value, scope) for scope in Scope}
    calls = {
        Scope.READ: ("GET", "/api/read"),
        Scope.RUN: ("POST", "/api/agents/bob"),
        Scope.OPERATE: ("POST", "/api/operate"),
    }
    async with served() as client:
        for has, needs in product(Scope, Scope):
            response = await client.request(*calls[needs], headers=bearer(keys[has]))
            allowed = needs in has.included()
            assert response.status_code == (200 if allowed else 403), (has, needs)
            if not allowed:
                assert response.json()["detail"] == (
                    f"the key '{has}' lacks the scope '{needs}', which this needs"
                )


async def test_a_key_for_some_agents_is_for_no_others(served: Served, store: Store) -> None:
    key = await make_key(store, "laptop", Scope.OPERATE, "alice", "bob")
    async with served() as client:
        assert (await client.get("/api/me", headers=bearer(key))).json()["agents"] == [
            "alice",
            "bob",
        ]
        for agent, status in {"bob": 200, "tom": 403, "all": 403}.items():
            response = await client.post(f"/api/agents/{agent}", headers=bearer(key))
            assert response.status_code == status


async def test_no_key_is_in_the_log_or_an_error(
    served: Served,
    store: Store,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    key = await make_key(store, "laptop")
    texts = []
    async with served() as client:
        for path in ("/api/me", "/api/fault", "/api/nothing"):
            texts += [(await client.get(path, headers=bearer(key))).text]
        wrong = key[:-4] + "0000"
        texts.append((await client.get("/api/me", headers=bearer(wrong))).text)
        texts.append((await client.post("/login", json={"key": wrong})).text)
        texts.append((await client.post("/login", json={"key": key * 3})).text)
        texts.append((await client.post("/login", json={"password": key})).text)
    printed = capsys.readouterr()
    assert "a request failed" in printed.out + printed.err
    everything = printed.out + printed.err + caplog.text + "".join(texts)
    assert key.rpartition("_")[2][:-4] not in everything
