"""The scripted model over real HTTP, as the OpenAI client sees it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import openai
import pytest
import uvicorn

from services.scripted.app import application
from services.scripted.script import Script


@pytest.fixture
async def client() -> AsyncIterator[openai.AsyncOpenAI]:
    listener = socket.create_server(("127.0.0.1", 0))
    app = application(Script([]))
    config = uvicorn.Config(app, http="h11", ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    http = openai.DefaultAsyncHttpxClient(verify=False)  # reading the certificates takes 0.3 s
    async with openai.AsyncOpenAI(
        base_url=url, api_key="none", max_retries=0, http_client=http
    ) as client:
        yield client
    server.should_exit = True
    await serving
