"""A real browser, Debian's Chromium, in which the page is used as a person would."""

from __future__ import annotations

import asyncio
import shutil
import tarfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import pytest_asyncio
import uvicorn
from fastapi import FastAPI
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Error,
    Page,
    async_playwright,
)

from scripts.vendor import archive
from tests.browser.sample_gateway import Sample, application

HERE = Path(__file__).parent
AXE = (
    "axe-core",
    "4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)
WIDTH, HEIGHT = 1280, 860
FLAGS = [
    "--no-sandbox",  # the tests' user is often root
    "--disable-background-networking",
    "--disable-component-update",
    "--force-color-profile=srgb",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One event loop for all tests of this folder, because they share the browser."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.needs("chromium"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        program = shutil.which("chromium")
        browser = await playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        await browser.close()


@dataclass
class Visitor:
    """A person with a browser; what the browser complains of is kept."""

    context: BrowserContext
    page: Page
    base: str = ""
    complaints: list[str] = field(default_factory=list)

    async def open(self, path: str) -> None:
        """Another test's container is a new network interface, at which Chromium gives up all that
        it loads; the page loads itself again."""
        try:
            await self.page.goto(self.base + path)
        except Error:
            await self.page.goto(self.base + path)

    def listen(self) -> None:
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._heard)

    def _heard(self, message: ConsoleMessage) -> None:
        # A response with an error's status is in the browser's log, whoever handles it.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(browser: Browser) -> AsyncIterator[Visitor]:
    """Fails the test at its end if the page has thrown an error or has broken its own policy."""
    context = await browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT},
        timezone_id="Europe/London",
        permissions=["clipboard-read", "clipboard-write"],
        reduced_motion="reduce",
    )
    context.set_default_timeout(20_000)
    visitor = Visitor(context, await context.new_page())
    visitor.listen()
    yield visitor
    await context.close()
    assert visitor.complaints == []


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """Serve an application in a thread of its own; gives its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    started = threading.Event()
    startup = server.startup

    async def announced(*args: object, **named: object) -> None:
        await startup(*args, **named)  # type: ignore[arg-type]  # passed on as they came
        started.set()

    server.startup = announced  # type: ignore[method-assign]  # uvicorn has no event for it
    thread.start()
    assert started.wait(30)
    address = server.servers[0].sockets[0].getsockname()
    yield f"http://127.0.0.1:{address[1]}"
    server.should_exit = server.force_exit = True
    thread.join(30)


@pytest.fixture
def sample() -> Sample:
    return Sample()


@pytest_asyncio.fixture(loop_scope="session")
async def page(visitor: Visitor, sample: Sample) -> AsyncIterator[Page]:
    """A page of the sample gateway; `goto` takes paths."""
    with served(application(sample)) as base:
        visitor.base = base
        await visitor.page.goto(f"{base}/page/none")  # so that the page has an origin
        yield visitor.page
        await visitor.page.close()
        await asyncio.sleep(0)


@pytest.fixture(scope="session")
def axe(request: pytest.FixtureRequest) -> str:
    """The source of axe-core, fetched once."""
    assert request.config.cache is not None
    kept = Path(request.config.cache.mkdir("axe")) / f"{AXE[1]}.js"
    if not kept.exists():
        with TemporaryDirectory() as folder, tarfile.open(archive(*AXE, Path(folder))) as tar:
            file = tar.extractfile("package/axe.min.js")
            assert file is not None
            kept.write_bytes(file.read())
    return kept.read_text("utf-8")
