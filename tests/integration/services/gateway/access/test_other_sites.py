"""Pages of other sites in a real browser, against a gateway on the same machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import pytest
from fastapi import APIRouter, FastAPI
from playwright.async_api import Page, async_playwright
from starlette.responses import HTMLResponse

from services.gateway.access.keys import RECENT_S
from shared.process.http import serving
from shared.store import Store
from tests.support.brokers.waiting import free_port
from tests.support.guarded import make_key, serve

pytestmark = pytest.mark.needs("chromium")

STORES = ["sqlite"]
STRANGER = "evil.example"
FETCH = """async ([url, options]) => {
    try {
        const response = await fetch(url, options);
        return [response.status, await response.text()];
    } catch { return null }
}"""
BLOCKED = None
"""The browser gives the page nothing of the response."""


@dataclass
class Site:
    """The gateway, a page of another site, and a browser for which that site is this machine."""

    page: Page
    gateway: str
    stranger_port: int
    changes: list[str] = field(default_factory=list)

    async def fetch(self, path: str, **options: object) -> list[object] | None:
        url = path if self.page.url.startswith(self.gateway) else self.gateway + path
        answer: list[object] | None = await self.page.evaluate(FETCH, [url, options])
        return answer

    async def log_in(self, key: str) -> None:
        headers = {"Content-Type": "application/json"}
        answer = await self.fetch(
            "/login", method="POST", headers=headers, body=f'{{"key": "{key}"}}'
        )
        assert answer == [204, ""]


def strange(gateway: str) -> FastAPI:
    app = FastAPI()

    @app.get("/")
    def page() -> HTMLResponse:
        form = f'<form method="post" action="{gateway}/api/change" enctype="text/plain"></form>'
        return HTMLResponse(form)

    return app


@pytest.fixture
async def site(store: Store) -> AsyncIterator[Site]:
    changes: list[str] = []
    routes = APIRouter()

    @routes.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse("<script>document.title = 'it ran'</script>")

    @routes.post("/api/change")
    def change() -> str:
        changes.append("changed")
        return "changed"

    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(serve(store, routes))
        gateway, port = str(client.base_url).rstrip("/"), free_port()
        other = serving(strange(gateway), "127.0.0.1", port, what="a stranger", variables="none")
        await stack.enter_async_context(other)
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", f"--host-resolver-rules=MAP {STRANGER} 127.0.0.1"],
        )
        stack.push_async_callback(browser.close)
        yield Site(await browser.new_page(), gateway, port, changes)


@pytest.mark.parametrize("with_cookie", [True, False])
@pytest.mark.parametrize("host", [STRANGER, "127.0.0.1"])
async def test_another_sites_page_reads_and_changes_nothing(
    site: Site, store: Store, host: str, with_cookie: bool
) -> None:
    if with_cookie:
        key = await make_key(store, "laptop")
        await site.page.goto(f"{site.gateway}/")
        await site.log_in(key)
        assert await site.fetch("/api/change", method="POST") == [200, '"changed"']
        site.changes.clear()
    await site.page.goto(f"http://{host}:{site.stranger_port}/")
    assert await site.fetch("/api/me", credentials="include") is BLOCKED
    assert await site.fetch("/api/me", mode="no-cors") is BLOCKED
    for mode in ("cors", "no-cors"):
        tried = await site.fetch("/api/change", method="POST", mode=mode, credentials="include")
        assert tried is BLOCKED
    async with site.page.expect_navigation():
        await site.page.evaluate("document.forms[0].submit()")
    assert site.page.url == f"{site.gateway}/api/change"
    assert site.changes == []


async def test_a_page_whose_domain_is_pointed_at_this_machine_reads_nothing(site: Site) -> None:
    await site.page.goto(site.gateway.replace("127.0.0.1", STRANGER))
    for path, method in (("/api/me", "GET"), ("/api/change", "POST")):
        answer = await site.page.evaluate(FETCH, [path, {"method": method}])
        assert answer[0] == 403
    assert site.changes == []


async def test_the_gateways_page_works_without_scripts_in_its_html(
    site: Site, store: Store
) -> None:
    await site.page.goto(f"{site.gateway}/")
    assert await site.page.title() == ""
    assert await site.fetch("/api/change", method="POST") == [200, '"changed"']
    key = await make_key(store, "laptop")
    await asyncio.sleep(RECENT_S)
    await site.log_in(key)
    assert "laptop" in str(await site.fetch("/api/me"))
    assert await site.page.evaluate("document.cookie") == ""
    assert await site.fetch("/logout", method="POST") == [204, ""]
