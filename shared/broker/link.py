"""One connection that comes back after every loss, and what is opened on it.

Built on aiormq, the protocol layer of aio-pika, without aio-pika's robust objects: those wait
without a timeout, restore in no fixed order what weak references still hold, and can't bring
back a queue that another channel declared. Here one loop restores everything, in order.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Awaitable, Callable

import aiormq
from aiormq import Channel
from aiormq.abc import AbstractConnection
from yarl import URL

from shared.broker.errors import FOREIGN, RPC_TIMEOUT_S, cancellable, refusal, speaking
from shared.broker.writing import Gathering
from shared.errors import BrokerError, BrokerUnavailable, SettingsError
from shared.settings.environment import Address, current
from shared.settings.tls import check_files

HEARTBEAT_S = 10
"""A silent broker is noticed after three of these."""
RECONNECT_S = 1.0
"""At most this before each attempt, by chance: a broker that starts meets no herd."""
CONNECT_TIMEOUT_S = 10.0
"""For all addresses of the host together."""
FIRST_RETRY_S = 0.5
PORTS = {"amqp": 5672, "amqps": 5671}
TLS_FILES = ("cafile", "certfile", "keyfile")
"""In the address's query, where aiormq looks for them."""

Restore = Callable[[AbstractConnection], Awaitable[None]]
_log = logging.getLogger(__name__)


class Link:
    """A connection for as long as the process lives; `keep` is the job that brings it back."""

    def __init__(self, address: Address, name: str) -> None:
        self._address = address
        self._name = name
        self._connection: AbstractConnection | None = None
        self._ready = asyncio.Event()
        self._lost = asyncio.Event()
        self.restore: Restore | None = None
        """Called after each reconnect and each `repair`, until it succeeds."""

    @property
    def ready(self) -> bool:
        return self._ready.is_set() and not self._lost.is_set()

    @property
    def blocked(self) -> bool:
        """The broker has stopped reading what is published here: its memory or disk is short."""
        if self._connection is None or self._connection.is_closed:
            return False
        waiting = self._connection.ready()  # the only public sign of it: this would wait
        try:
            waiting.send(None)
        except StopIteration:
            return False
        finally:
            waiting.close()
        return True

    async def open(self, wait_s: float) -> None:
        """The first connection. Tries for `wait_s` while nobody answers, never when refused.

        Raises `BrokerError`, or `SettingsError` for an address that is none.
        """
        until, said = asyncio.get_running_loop().time() + wait_s, False
        while True:
            try:
                await self._connect()
            except BrokerUnavailable as error:
                if asyncio.get_running_loop().time() >= until:
                    raise
                if not said:
                    _log.warning("%s", error)
                said = True
                await asyncio.sleep(FIRST_RETRY_S)
            else:
                self._ready.set()
                return

    async def open_once(self) -> None:
        """Open it unless it was opened before; raises as `open`. One caller at a time."""
        if self._connection is None:
            await self.open(wait_s=0)

    async def connection(self) -> AbstractConnection:
        """The connection, once it is up and restored; the caller brings the timeout."""
        await self._ready.wait()
        assert self._connection is not None
        return self._connection

    async def renew(self) -> None:
        """End a connection on which the broker answers no more: `keep` opens another."""
        if self._connection is not None:
            try:
                async with speaking("close the connection"):
                    await self._connection.close()
            except BrokerUnavailable:
                _log.debug("the broker was gone before the connection was closed")

    def repair(self) -> None:
        """Something on this connection broke: restore it all."""
        self._lost.set()

    async def keep(self) -> None:
        """Reconnect and restore, for ever."""
        said = ""
        while True:
            await self._lost.wait()
            self._ready.clear()
            await asyncio.sleep(random.uniform(0, RECONNECT_S))
            self._lost.clear()
            try:
                await self._restored()
            except (BrokerError, SettingsError) as error:
                if str(error) != said:
                    _log.warning("%s", error)
                said = str(error)
                self._lost.set()
            else:
                said = ""
                self._ready.set()

    async def close(self) -> None:
        self._ready.clear()
        await self.renew()

    async def _restored(self) -> None:
        if self._connection is None or self._connection.is_closed:
            await self._connect()
            _log.info("connected to the broker again")
        if self.restore is not None and self._connection is not None:
            await self.restore(self._connection)

    async def _connect(self) -> None:
        # Read anew each time: the password or a certificate may have been changed meanwhile.
        url = parsed(current(self._address))
        with cancellable():
            connection = await _connected(url, self._name)
        connection.closing.add_done_callback(lambda _: self._lost.set())
        self._connection = connection


class Lane:
    """One channel of a link, opened when first used and again when it is found closed."""

    def __init__(self, link: Link, *, confirms: bool) -> None:
        self._link = link
        self._confirms = confirms
        self._channel: Channel | None = None
        self._opening = asyncio.Lock()

    async def channel(self) -> Channel:
        """Waits for the connection; the caller brings the timeout."""
        async with self._opening:
            connection = await self._link.connection()
            if self._channel is None or self._channel.is_closed:
                opened = await connection.channel(
                    publisher_confirms=self._confirms, timeout=RPC_TIMEOUT_S
                )
                assert isinstance(opened, Channel)  # the interface leaves out `wait`
                self._channel = opened
            return self._channel


async def _connected(url: URL, name: str) -> AbstractConnection:
    """To the first of the host's addresses that answers: the nodes of a cluster share one name.

    Each has its share of the time, so that one that says nothing leaves some for the others. In
    random order: the resolver's puts the same one first each time, be it frozen or not.
    """
    named = url.update_query(heartbeat=HEARTBEAT_S, name=name)
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            addresses = await _addresses(url)
    except FOREIGN as error:
        raise refusal(error, url) from error
    for tried, address in enumerate(addresses, 1):
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S / len(addresses)):
                return await aiormq.connect(named, transport_factory=Gathering(address))
        except FOREIGN as error:
            refused = refusal(error, url)
            if tried == len(addresses) or not isinstance(refused, BrokerUnavailable):
                raise refused from error
    raise AssertionError("a name that is found has an address")


async def _addresses(url: URL) -> list[str]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    addresses = list({str(address[0]) for *_, address in found})
    random.shuffle(addresses)
    return addresses


def parsed(url: str) -> URL:
    """The broker's address; raises `SettingsError`, which does not show the password."""
    try:
        address = URL(url)
        if address.scheme in PORTS and address.host:
            check_files("RABBITMQ_URL", address.query, TLS_FILES)
            return address.with_port(address.port or PORTS[address.scheme])
    except ValueError:
        pass  # said below, without the address: it may hold a password
    raise SettingsError(
        "RABBITMQ_URL is no broker's address: write amqp://user:password@host:5672/"
    )
