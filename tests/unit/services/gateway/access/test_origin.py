"""What other sites' pages try through a browser."""

from __future__ import annotations

import httpx2
import pytest

from shared.store import Store
from tests.support.guarded import Served, bearer, make_key

POST = "/api/agents/bob"


def own(client: httpx2.AsyncClient) -> str:
    return str(client.base_url).rstrip("/")


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "{own}.evil.example"},
        {"Origin": "http://evil.example#{own}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "{own}"},
        {"Sec-Fetch-Site": ""},
    ],
)
@pytest.mark.parametrize("with_cookie", [True, False])
async def test_another_sites_page_changes_nothing(
    served: Served, store: Store, with_cookie: bool, headers: dict[str, str]
) -> None:
    key = await make_key(store, "laptop") if with_cookie else ""
    async with served() as client:
        if key:
            assert (await client.post("/login", json={"key": key})).status_code == 204
        given = {name: value.format(own=own(client)) for name, value in headers.items()}
        refused = await client.post(POST, headers=given)
        assert refused.status_code == 403
        assert "another site's page" in refused.json()["detail"]
        for path in ("/login", "/logout"):
            response = await client.post(path, json={"key": key}, headers=given)
            assert response.status_code == 403
            assert "set-cookie" not in response.headers


@pytest.mark.parametrize("with_cookie", [True, False])
async def test_the_gateways_own_page_may(served: Served, store: Store, with_cookie: bool) -> None:
    key = await make_key(store, "laptop") if with_cookie else ""
    async with served() as client:
        if key:
            assert (await client.post("/login", json={"key": key})).status_code == 204
        for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Origin": own(client)}):
            assert (await client.post(POST, headers=headers)).status_code == 200


async def test_a_cookie_is_only_for_browsers_and_a_key_is_for_programs(
    served: Served, store: Store
) -> None:
    key = await make_key(store, "laptop")
    async with served() as client:
        await client.post("/login", json={"key": key})
        assert (await client.post(POST)).status_code == 403
        client.cookies.clear()
        electron = {"Origin": "file://", "Sec-Fetch-Site": "cross-site"}
        assert (await client.post(POST, headers=bearer(key) | electron)).status_code == 200


async def test_a_preflight_of_another_site_is_not_answered(served: Served, store: Store) -> None:
    await make_key(store, "laptop")
    async with served() as client:
        response = await client.options(
            POST,
            headers={
                "Origin": "http://evil.example",
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization",
            },
        )
        assert response.status_code == 401
        assert not [name for name in response.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example:8765",
        "localhost@evil.example",
        "127.1.evil",
        "[::1",
        "",
    ],
)
async def test_a_name_that_a_stranger_points_at_this_machine_reads_nothing(
    served: Served, host: str
) -> None:
    async with served() as client:
        for method, path in (("GET", "/api/me"), ("POST", POST)):
            response = await client.request(method, path, headers={"Host": host})
            assert response.status_code == 403, response.text
            assert "hutch keys add" in response.json()["detail"]


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:8765",
        "app.localhost",
        "127.0.0.1",
        "[::1]:8765",
        "gateway:8765",
        "host.docker.internal:8765",
    ],
)
async def test_names_that_no_stranger_can_serve_are_accepted_without_a_key(
    served: Served, host: str
) -> None:
    async with served() as client:
        assert (await client.get("/api/me", headers={"Host": host})).status_code == 200


async def test_with_a_key_any_name_is_accepted(served: Served, store: Store) -> None:
    key = await make_key(store, "laptop")
    async with served() as client:
        headers = bearer(key) | {"Host": "hutch.example.com"}
        assert (await client.get("/api/me", headers=headers)).status_code == 200
