"""Tasks of MCP: they are tasks of Hutch, which outlive the client, the gateway and the agent."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.services.gateway.mcp.conftest import Door
from tests.integration.services.gateway.openai.test_chat import statuses
from tests.support.gateway import client as http_client
from tests.support.gateway import gateway
from tests.support.mcp.client import Wire

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)

SLOW = "[[latency 3]][[reply Here it is.]]"


async def ended(wire: Wire, task_id: str) -> dict[str, Any]:
    """The task once it has ended, polled as the server asks."""
    async with asyncio.timeout(120):
        while True:
            task = await wire.result("tasks/get", taskId=task_id)
            if task["status"] != "working":
                return task
            await asyncio.sleep(task["pollIntervalMs"] / 1000)


async def test_a_call_that_takes_longer_is_a_task_with_the_result_at_its_end(door: Door) -> None:
    async with http_client(door.url) as http:
        wire = Wire(http)
        made = await wire.call("bob", SLOW)
        assert (made["resultType"], made["status"]) == ("task", "working")
        assert made["ttlMs"] is None, "an open run is kept"
        task = await ended(wire, made["taskId"])
        assert (task["resultType"], task["status"]) == ("complete", "completed")
        assert task["result"]["content"] == [{"type": "text", "text": "Here it is."}]
        assert task["result"]["isError"] is False
        assert task["ttlMs"] > 0
        assert task["createdAt"] == made["createdAt"]


async def test_a_call_that_ends_at_once_is_answered_without_a_task(door: Door) -> None:
    async with http_client(door.url) as http, asyncio.timeout(60):
        while (made := await Wire(http).call("bob", "[[reply At once.]]"))["resultType"] == "task":
            pass  # this machine is slow now
    assert made["content"] == [{"type": "text", "text": "At once."}]
    assert made["_meta"]["hutch/status"] == "ok"


async def test_a_cancelled_task_is_a_cancelled_run(door: Door) -> None:
    async with http_client(door.url) as http:
        wire = Wire(http)
        made = await wire.call("bob", "[[latency 60]][[reply Never.]]")
        cancelled = await wire.result("tasks/cancel", taskId=made["taskId"])
        assert cancelled["resultType"] == "complete"
        task = await ended(wire, made["taskId"])
        assert task["status"] == "cancelled"
        assert "result" not in task
    assert statuses(door.system) == [("bob", "cancelled")]


async def test_wrong_requests_for_tasks_get_the_errors_of_the_extension(door: Door) -> None:
    async with http_client(door.url) as http:
        wire, undeclared = Wire(http), Wire(http, declares=False)
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            unknown = await wire.error(method, taskId="unknown", inputResponses={})
            assert unknown["code"] == -32602
            missing = await undeclared.error(method, taskId="unknown", inputResponses={})
            assert missing["code"] == -32021
            required = missing["data"]["requiredCapabilities"]["extensions"]
            assert required == {"io.modelcontextprotocol/tasks": {}}
        assert "result" in await undeclared.ask(
            "tools/call", name="bob", arguments={"prompt": SLOW}
        ), "without the extension, the client waits"


@pytest.mark.essential
async def test_fifty_tasks_outlive_a_killed_gateway_and_a_killed_agent(door: Door) -> None:
    system = door.system
    dying, url = gateway(system)
    other = system.agents("bob")[0]
    async with http_client(url) as http:
        wire = Wire(http)
        made = await asyncio.gather(
            *(wire.call("bob", f"[[latency 4]][[reply Number {number}.]]") for number in range(50))
        )
        dying.kill()
    other.kill()
    async with http_client(door.url) as http:
        wire = Wire(http)
        tasks = await asyncio.gather(*(ended(wire, it["taskId"]) for it in made))
    texts = [it["result"]["content"][0]["text"] for it in tasks]
    assert texts == [f"Number {number}." for number in range(50)]
    assert statuses(system) == [("bob", "ok")] * 50


async def test_a_repeated_call_with_an_idempotency_key_is_the_same_task(door: Door) -> None:
    async with http_client(door.url) as http:
        wire = Wire(http, headers={"Idempotency-Key": "order 7"})
        made = [await wire.call("bob", SLOW) for _ in range(2)]
        assert made[0]["taskId"] == made[1]["taskId"]
        other = await wire.error("tools/call", name="bob", arguments={"prompt": "Other."})
        assert (other["code"], other["data"]) == (-32602, {"status": 409})
        await ended(wire, made[0]["taskId"])
    assert statuses(door.system) == [("bob", "ok")]
