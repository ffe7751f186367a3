"""The openai package's client, with a limit on a response's size, and a rehearsal.

Importing this module imports all that a request needs. It starts no thread and opens no socket.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit, urlunsplit

import anyio._backends._asyncio  # noqa: F401 - httpx2 imports it with the first request
import httpx2  # comes with openai, and is imported with it
import openai

from shared.errors import ModelError, SettingsError
from shared.settings.environment import network, network_fault

NO_KEY = "none"
"""Sent to endpoints without keys: the package requires one."""
CONNECT_S = 5.0
MAX_REPLY_BYTES = 16 * 1024 * 1024
"""A hundred times the longest answer with its reasoning."""

MAX_COMPRESSED_BYTES = MAX_REPLY_BYTES // 100
"""For a body compressed although we ask for none: one byte can stand for a thousand."""


@cache
def rehearse() -> None:
    """Make a request on each wire, answered in this process: with the first one the package
    evaluates the types of all parameters. It blocks; call it in a thread. Later calls do nothing,
    also in processes forked afterwards."""
    network = httpx2.MockTransport(lambda _: httpx2.Response(200, json={}))
    with openai.OpenAI(api_key="none", http_client=httpx2.Client(transport=network)) as client:
        client.chat.completions.with_raw_response.create(model="", messages=())
        client.responses.with_raw_response.create()


def opened_client(base_url: str, attempt_s: float) -> openai.AsyncOpenAI:
    """A client for an endpoint, without retries. Call it in a thread; it opens no connection.

    Raises `SettingsError` if the environment's proxies or certificates make calls impossible.
    """
    if fault := network_fault():
        raise SettingsError(fault)
    url = urlsplit(base_url)
    try:
        client = openai.AsyncOpenAI(
            api_key=NO_KEY,
            base_url=urlunsplit(url._replace(query="", fragment="")),
            default_query=dict(parse_qsl(url.query)),
            timeout=openai.Timeout(attempt_s, connect=CONNECT_S),
            max_retries=0,
            http_client=openai.DefaultAsyncHttpxClient(
                headers={"Accept-Encoding": "identity"},
                verify=tls_context(),
                event_hooks={"response": [limit_size]},
                follow_redirects=False,  # headers and texts would go to other hosts
            ),
        )
        rehearse()
        return client
    except Exception as error:
        reason = str(error).partition("\n")[0]
        raise SettingsError(
            f"no connection to the model at {base_url} can be made with {network()}: "
            f"{type(error).__name__}: {reason}"
        ) from error


def tls_context() -> ssl.SSLContext:
    """TLS with the certificates that the environment names, else the system's.

    Reading them takes 20 ms and 3 MB: it is done once for all models, and for all processes that
    are forked afterwards, until the files change.
    """
    paths = ssl.get_default_verify_paths()
    named = (paths.cafile, paths.capath)
    return _tls_context(tuple((it, Path(it).stat().st_mtime_ns) for it in named if it))


@lru_cache(maxsize=1)
def _tls_context(_files: tuple[tuple[str, int], ...]) -> ssl.SSLContext:
    return httpx2.create_ssl_context()


async def limit_size(response: httpx2.Response) -> None:
    """A response hook. Reading the body raises `ModelError` once it is longer than allowed."""
    compressed = response.headers.get("content-encoding", "identity") != "identity"
    assert isinstance(response.stream, httpx2.AsyncByteStream)
    most = MAX_COMPRESSED_BYTES if compressed else MAX_REPLY_BYTES
    response.stream = _Limited(response.stream, most)


class _Limited(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, most: int) -> None:
        self._stream = stream
        self._most = most

    async def __aiter__(self) -> AsyncIterator[bytes]:
        length = 0
        async for part in self._stream:
            length += len(part)
            if length > self._most:
                raise ModelError(
                    f"the endpoint's reply is longer than {self._most} bytes",
                    public="the model's endpoint did not answer as it should",
                )
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()
