"""A gateway with real agents behind it, for clients that are not ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

from tests.support.gateway import alice_bob_and_form, gateway
from tests.support.processes.running import System


@dataclass(frozen=True)
class Door:
    """The address of the OpenAI-compatible API, and the system behind it."""

    url: str
    system: System


@pytest.fixture
def door(system: System, agents: Path) -> Door:
    alice_bob_and_form(system, agents)
    return Door(f"{gateway(system)[1]}/v1", system)


def client_of(url: str, **options: object) -> openai.AsyncOpenAI:
    http = openai.DefaultAsyncHttpxClient(verify=False)  # reading the certificates takes 0.3 s
    return openai.AsyncOpenAI(base_url=url, api_key="none", http_client=http).with_options(
        **options  # type: ignore[arg-type]  # as the caller names them
    )


@pytest.fixture
async def client(door: Door) -> AsyncIterator[openai.AsyncOpenAI]:
    async with client_of(door.url) as client:
        yield client
