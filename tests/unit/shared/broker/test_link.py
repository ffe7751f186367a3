from __future__ import annotations

import asyncio
import logging

import pytest

from shared.broker import link as links
from shared.broker.link import Link, parsed
from shared.errors import SettingsError


@pytest.mark.parametrize(
    ("url", "port"), [("amqp://broker/", 5672), ("amqps://broker", 5671), ("amqp://broker:7/x", 7)]
)
def test_an_address_has_the_port_of_its_scheme(url: str, port: int) -> None:
    assert parsed(url).port == port


@pytest.mark.parametrize("url", ["", "broker", "http://secret@broker/", "amqp://", "amqp://x:y:z/"])
def test_anything_else_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="write amqp://user") as refused:
        parsed(url)
    assert "secret" not in str(refused.value)


async def test_a_link_that_was_never_opened_is_neither_ready_nor_blocked() -> None:
    link = Link("amqp://broker/", "test")
    assert not link.ready
    assert not await link.blocked()
    await link.close()


async def test_the_links_of_a_process_log_an_outage_once_however_connections_fail(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(links, "RECONNECT_S", 0.01)
    attempts, enough = 0, asyncio.Event()

    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        if attempts % 2:
            await reader.read(8)  # then the client reads the end, otherwise a reset
        writer.transport.abort()
        if attempts > 8:
            enough.set()

    logged: set[str] = set()
    async with await asyncio.start_server(end, "127.0.0.1", 0) as server:
        url = f"amqp://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        broken = [Link(url, f"test {number}", logged) for number in range(2)]
        for link in broken:
            link.repair()
        keeping = [asyncio.create_task(link.keep()) for link in broken]
        await enough.wait()
        for job in keeping:
            job.cancel()
        await asyncio.gather(*keeping, return_exceptions=True)
    [line] = [it.getMessage() for it in caplog.records if it.levelno == logging.WARNING]
    assert line.startswith("no broker can be reached at 127.0.0.1:")
