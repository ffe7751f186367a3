"""A client of the gateway, and its process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.support.processes.agents import define
from tests.support.processes.running import Child, System

TIMEOUT_S = 60.0


def gateway(system: System, **env: str) -> tuple[Child, str]:
    """A gateway on a free port, and its address."""
    child = system.start("services.gateway", HUTCH_GATEWAY_PORT="0", **env)
    served = child.wait_for(r'the gateway is served".*"port": (\d+)')
    return child, f"http://127.0.0.1:{served[1]}"


def alice_bob_and_form(system: System, agents: Path) -> None:
    """Start a manager with her worker, and an agent whose answers have a schema."""
    define(
        agents,
        system,
        alice="workers: [bob]\ndescription: Manages Bob.",
        bob="preamble: You are Bob.",
        form="output: {type: object, properties: {city: {type: string}}, required: [city]}",
    )
    system.agents("alice", "bob", "form")


def client(address: str) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(base_url=address, timeout=TIMEOUT_S)


@dataclass(frozen=True)
class ServerEvent:
    name: str
    data: dict[str, Any]
    id: str | None


@dataclass
class Stream:
    """The events of one response, as an `EventSource` reads them."""

    response: httpx2.Response
    events: list[ServerEvent] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)

    async def __aiter__(self) -> AsyncIterator[ServerEvent]:
        fields: dict[str, str] = {}
        async for line in self.response.aiter_lines():
            name, _, value = line.partition(":")
            if line and not name:
                self.comments.append(value.strip())
            elif line:
                fields[name] = value.removeprefix(" ")
            elif "data" in fields:
                data = json.loads(fields["data"])
                event = ServerEvent(fields["event"], data, fields.get("id"))
                self.events.append(event)
                fields = {}
                yield event


@asynccontextmanager
async def stream(
    client: httpx2.AsyncClient, path: str, after: str | None = None, **headers: str
) -> AsyncIterator[Stream]:
    resumed = {"Last-Event-ID": after} if after else {}
    async with client.stream("GET", path, headers=resumed | headers) as response:
        assert response.status_code == 200, (response.status_code, await response.aread())
        yield Stream(response)


async def followed(
    client: httpx2.AsyncClient, path: str, after: str | None = None, most: int | None = None
) -> list[ServerEvent]:
    """The events of a stream to its end, or the first ones: then the client leaves."""
    async with stream(client, path, after) as events:
        async for _ in events:
            if len(events.events) == most:
                break
    return events.events


def text_of(events: list[ServerEvent]) -> dict[int, str]:
    """The text of each turn, as a client puts it together."""
    turns: dict[int, str] = {}
    for it in events:
        if it.name == "restart":
            turns = {turn: text for turn, text in turns.items() if turn < it.data["turn"]}
        elif it.name == "text":
            turns[it.data["turn"]] = turns.get(it.data["turn"], "") + it.data["text"]
    return turns
