from __future__ import annotations

import hashlib
import hmac
import time
from functools import partial

import httpx2
import pytest

from services.gateway.access import cookie
from shared.store import Store
from shared.store.processes import api_keys
from tests.support.guarded import Served, bearer, make_key

OWN = {"Sec-Fetch-Site": "same-origin"}


async def logged_in(client: httpx2.AsyncClient, key: str, **headers: str) -> str:
    response = await client.post("/login", json={"key": f" {key}\n"}, headers=OWN | headers)
    assert (response.status_code, response.content) == (204, b"")
    return response.headers["set-cookie"]


async def test_a_key_is_exchanged_for_a_cookie_that_scripts_and_other_sites_never_have(
    served: Served, store: Store
) -> None:
    key = await make_key(store, "laptop")
    async with served() as client:
        given = await logged_in(client, key)
        attributes = {part.strip().lower() for part in given.split(";")[1:]}
        assert attributes == {"httponly", "samesite=strict", "path=/", "max-age=43200"}
        assert key.rpartition("_")[2] not in given
        assert (await client.get("/api/me")).json()["name"] == "laptop"
        secure = await logged_in(client, key, Origin="https://hutch.example.com")
        assert "; Secure" in secure


async def test_any_gateway_accepts_the_cookie_until_the_key_is_revoked(
    served: Served, store: Store
) -> None:
    key = await make_key(store, "laptop")
    async with served() as first:
        await logged_in(first, key)
        cookies = first.cookies
    async with served() as second:
        second.cookies = cookies
        assert (await second.get("/api/me")).status_code == 200
        await store.write("", partial(api_keys.revoke, name="laptop"))
    async with served() as third:
        third.cookies = cookies
        assert (await third.get("/api/me")).status_code == 401


async def test_after_the_logout_the_browser_has_no_cookie(served: Served, store: Store) -> None:
    key = await make_key(store, "laptop")
    async with served() as client:
        await logged_in(client, key)
        assert (await client.post("/logout", headers=OWN)).status_code == 204
        assert not client.cookies
        assert (await client.get("/api/me")).status_code == 401


async def test_a_key_in_the_header_goes_before_the_cookie(served: Served, store: Store) -> None:
    laptop, phone = await make_key(store, "laptop"), await make_key(store, "phone")
    async with served() as client:
        await logged_in(client, laptop)
        assert (await client.get("/api/me", headers=bearer(phone))).json()["name"] == "phone"
        wrong = bearer(api_keys.generate())
        assert (await client.get("/api/me", headers=wrong)).status_code == 401


async def test_a_forged_or_expired_cookie_is_refused(
    served: Served, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await make_key(store, "laptop")
    key_id = api_keys.key_id_of(key)
    async with served() as client:
        given = (await logged_in(client, key)).partition(";")[0].partition("=")[2]
        client.cookies.clear()
        _, expires, signature = given.split(".")
        later = str(int(expires) + 1)
        guessed = hmac.new(b"", f"cookie {key_id} {later}".encode(), hashlib.sha256).hexdigest()
        for value in (
            f"{key_id}.{later}.{signature}",
            f"{key_id}.{later}.{guessed}",
            f"{key_id}.{expires}.",
            f"{key_id}.{expires}",
            f"{key_id}..{signature}",
            f".{expires}.{signature}",
            f"ffffffffffff.{expires}.{signature}",
            f"{key_id}.{expires}.{signature}\xe9",
            f"{given}.{given}",
            "x" * 10_000,
        ):
            raw = [(b"cookie", f"{cookie.NAME}={value}".encode("latin-1"))]
            assert (await client.get("/api/me", headers=raw)).status_code == 401, value
        monkeypatch.setattr(cookie, "LIFETIME_S", -1)
        expired = (await logged_in(client, key)).partition(";")[0]
        headers = {"Cookie": expired}
        assert expired.startswith(f"{cookie.NAME}={key_id}.{int(time.time())}"[:-3])
        assert (await client.get("/api/me", headers=headers)).status_code == 401


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"key": 1}', b'{"key": "hk_"}', b'{"key": "%s"}' % (b"x" * 9000)]
)
async def test_a_wrong_login_gives_no_cookie(served: Served, store: Store, body: bytes) -> None:
    await make_key(store, "laptop")
    async with served() as client:
        response = await client.post(
            "/login", content=body, headers=OWN | {"Content-Type": "application/json"}
        )
        assert response.status_code in {401, 413, 422}
        assert "set-cookie" not in response.headers
