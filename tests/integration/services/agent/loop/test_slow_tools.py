"""A plain tool that takes long in every way: its process lives, and no replica takes its run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.client import Client
from tests.support.processes.fixtures import Asked
from tests.support.processes.running import System

pytestmark = pytest.mark.long

SILENCE_S = 3
"""Without a heartbeat for so long, a process's runs are taken over."""

TOOLS = """
import time

from pydantic import BaseModel, PlainSerializer
from typing import Annotated


def slow(value: int) -> int:
    time.sleep(1)
    return value


class Line(BaseModel):
    number: Annotated[int, PlainSerializer(slow)]


def lines(n: int):
    for number in range(n):
        time.sleep(1)
        yield number


def models(n: int) -> list[Line]:
    return [Line(number=number) for number in range(n)]


async def later(n: int) -> list[Line]:
    return models(n)
"""


@pytest.mark.parametrize("server", ["rabbitmq-3.10"], indirect=True)
@pytest.mark.parametrize("tool", ["lines", "models", "later"])
def test_a_tool_whose_result_takes_long_to_read_keeps_its_run(
    system: System, pika: Client, asked: Asked, agents: Path, tool: str
) -> None:
    (agents / "tools").mkdir()
    (agents / "tools" / "slow.py").write_text(TOOLS, "utf-8")
    (agents / "clerk.yaml").write_text(
        f'name: clerk\ntools: [{{function: "slow.py:{tool}", repeatable: true}}]', "utf-8"
    )
    system.env["HUTCH_AGENTS"] = str(agents)
    both = system.agents("clerk", "clerk")
    number = 2 * SILENCE_S
    pika.send("clerk", f'[[call {tool} {{"n": {number}}}]]')
    assert pika.reply().status == "ok"
    assert "run taken over" not in both[0].output + both[1].output
    assert len(asked()) == 2
