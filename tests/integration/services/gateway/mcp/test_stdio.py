"""`hutch mcp`, as the program that starts it sees it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.integration.services.gateway.mcp.conftest import BRIDGE, Door
from tests.integration.services.gateway.openai.test_chat import statuses
from tests.support.gateway import gateway
from tests.support.processes.running import until
from tests.support.repository import REPOSITORY

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)

PATIENCE_S = 60.0
PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}


def lines(door: Door, given: bytes, **env: str) -> tuple[int, list[Any]]:
    """The exit code and the messages on stdout, for what is given on stdin."""
    done = subprocess.run(
        [sys.executable, "-m", "services.cli", "mcp"],
        input=given,
        env={**os.environ, **door.system.env, **env},
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_only_messages_are_on_stdout_and_it_ends_with_stdin(door: Door) -> None:
    for env in ({}, {"HUTCH_GATEWAY": door.url}):
        code, messages = lines(door, b"", **env)
        assert (code, messages) == (0, [])


async def test_a_call_goes_on_at_the_next_gateway_when_one_is_killed(door: Door) -> None:
    dying, url = gateway(door.system)
    port = url.rpartition(":")[2]
    passing = Door(url, door.system)
    async with passing.client(transport=BRIDGE) as client:
        calling = asyncio.create_task(
            client.call_tool("bob", {"prompt": "[[latency 5]][[reply Here it is.]]"})
        )
        await asyncio.to_thread(until, lambda: statuses(door.system))
        await asyncio.to_thread(dying.kill)
        await asyncio.to_thread(door.system.start, "services.gateway", HUTCH_GATEWAY_PORT=port)
        made = await calling
    assert made.content[0].text == "Here it is."  # type: ignore[union-attr]  # it is text
    assert statuses(door.system) == [("bob", "ok")]


async def test_a_refused_key_is_an_answer_that_says_why(door: Door) -> None:
    _, url = gateway(door.system, HUTCH_GATEWAY_HOST="0.0.0.0")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "mcp"),
        env={**os.environ, **door.system.env, "HUTCH_GATEWAY": url},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=REPOSITORY,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    answers = []
    for message in (b"{", json.dumps(PING).encode()):
        process.stdin.write(message + b"\n")
        answers.append(json.loads(await process.stdout.readline()))
    process.stdin.close()
    assert await process.wait() == 0
    assert [(it["id"], it["error"]["code"]) for it in answers] == [(None, -32700), (1, -32600)]
    assert "a key is needed" in answers[1]["error"]["message"]
