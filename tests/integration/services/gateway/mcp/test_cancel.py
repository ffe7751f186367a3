"""A cancelled call is a cancelled run, by each transport in the way of each revision."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

import httpx2
import pytest

from tests.integration.services.gateway.mcp.conftest import LEGACY, MODERN, TRANSPORTS, Door
from tests.integration.services.gateway.openai.test_chat import statuses
from tests.support.gateway import client as http_client
from tests.support.gateway import gateway
from tests.support.mcp.client import ACCEPT, INFO, Wire, message
from tests.support.processes.running import until

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)

NEVER = "[[latency 120]][[reply Never.]]"


def runs(door: Door, status: str) -> int:
    return statuses(door.system).count(("bob", status))


def cancelled(door: Door, number: int) -> bool:
    return runs(door, "cancelled") == number


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_that_gives_a_call_up_cancels_its_run(door: Door, transport: str) -> None:
    for number, mode in enumerate((MODERN, LEGACY), 1):
        async with door.client(mode, transport) as client:
            calling = asyncio.create_task(client.call_tool("bob", {"prompt": NEVER}))
            await asyncio.to_thread(until, lambda: runs(door, "running") == 1)
            calling.cancel()
            with suppress(asyncio.CancelledError):
                await calling
            await asyncio.to_thread(until, partial(cancelled, door, number))


async def test_a_gateway_that_ends_cancels_nothing(door: Door) -> None:
    ending, url = gateway(door.system)
    async with http_client(url) as http:
        wire = Wire(http, declares=False)
        given = {"prompt": "[[latency 5]][[reply Here it is.]]"}
        calling = asyncio.create_task(wire.error("tools/call", name="bob", arguments=given))
        await asyncio.to_thread(until, lambda: runs(door, "running") == 1)
        await asyncio.to_thread(ending.end)
        error = await calling
    assert (error["code"], error["data"]) == (-32603, {"status": 503})
    await asyncio.to_thread(until, lambda: runs(door, "ok") == 1)


async def test_before_2026_leaving_is_no_cancel_and_any_gateway_takes_the_cancel(
    door: Door,
) -> None:
    version = "2025-06-18"
    begin = {"protocolVersion": version, "capabilities": {}, "clientInfo": INFO}
    async with http_client(door.url) as http:
        made = await http.post("/mcp", json=message("initialize", begin, 1), headers=ACCEPT)
        session = {
            "Mcp-Session-Id": made.headers["mcp-session-id"],
            "MCP-Protocol-Version": version,
        }
        call = {"name": "bob", "arguments": {"prompt": "[[latency 5]][[reply Here it is.]]"}}
        with pytest.raises(httpx2.ReadTimeout):
            await http.post(
                "/mcp", json=message("tools/call", call, 2), headers=ACCEPT | session, timeout=2
            )
        await asyncio.to_thread(until, lambda: runs(door, "ok") == 1)

        call = {"name": "bob", "arguments": {"prompt": NEVER}}
        calling = asyncio.create_task(
            http.post("/mcp", json=message("tools/call", call, 3), headers=ACCEPT | session)
        )
        await asyncio.to_thread(until, lambda: runs(door, "running") == 1)
        async with http_client(gateway(door.system)[1]) as other:
            cancel = message("notifications/cancelled", {"requestId": 3})
            made = await other.post("/mcp", json=cancel, headers=ACCEPT | session)
        assert made.status_code == 202
        await calling
    assert runs(door, "cancelled") == 1
