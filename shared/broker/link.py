"""One connection that comes back after every loss, and what is opened on it.

Built on aio-pika's plain connection, not on its robust objects: those restore in no fixed order
what weak references still hold, wait without a timeout and try again without jitter. Here one loop
restores everything, in order.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Awaitable, Callable

import aio_pika
from aio_pika.abc import AbstractChannel, ConnectionParameter, TimeoutType
from yarl import URL

from shared.broker.errors import FOREIGN, cancellable, refusal, speaking
from shared.errors import BrokerError, BrokerUnavailable, SettingsError
from shared.settings.secrets import Address, current
from shared.settings.tls import check_files

HEARTBEAT_S = 10
"""A broker that sends nothing is given up after three of these."""
RECONNECT_S = 1.0
"""Each attempt waits a random time up to this, so that not all clients come at once."""
CONNECT_TIMEOUT_S = 10.0
"""Shared by all addresses of the host."""
FIRST_RETRY_S = 0.5
PORTS = {"amqp": 5672, "amqps": 5671}
TLS_FILES = ("cafile", "certfile", "keyfile")
"""In the address's query, where aiormq looks for them."""

Restore = Callable[[aio_pika.Connection], Awaitable[None]]
_log = logging.getLogger(__name__)


class Link:
    """A connection for as long as the process lives; the job `keep` restores it after a loss."""

    def __init__(self, address: Address, name: str) -> None:
        self._address = address
        self._name = name
        self._connection: aio_pika.Connection | None = None
        self._ready = asyncio.Event()
        self._lost = asyncio.Event()
        self.restore: Restore | None = None
        """Called after each reconnect and each `repair`, again and again until it succeeds."""

    @property
    def ready(self) -> bool:
        return self._ready.is_set() and not self._lost.is_set()

    async def blocked(self) -> bool:
        """The broker has stopped reading what is published here: its memory or disk is short."""
        transport = self._connection.transport if self._connection else None
        if transport is None or transport.connection.is_closed:
            return False
        try:
            async with asyncio.timeout(0):
                await transport.ready()  # returns at once unless the broker blocks
        except TimeoutError:
            return True
        return False

    async def open(self, wait_s: float) -> None:
        """Connect for the first time. Tries for `wait_s` while no broker answers, once if refused.

        Raises `BrokerError`, or `SettingsError` if the address is not valid.
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
        """`open`, unless it was opened before. Not for concurrent callers."""
        if self._connection is None:
            await self.open(wait_s=0)

    async def connection(self) -> aio_pika.Connection:
        """The connection, once it is up and restored. Waits without a timeout of its own."""
        await self._ready.wait()
        assert self._connection is not None
        return self._connection

    async def renew(self) -> None:
        """Close a connection on which the broker doesn't answer any more; `keep` opens another."""
        if self._connection is not None:
            try:
                async with speaking("close the connection"):
                    await self._connection.close()
            except BrokerUnavailable:
                _log.debug("the broker was gone before the connection was closed")

    def repair(self) -> None:
        """Restore everything on this connection, because a part of it broke."""
        self._lost.set()

    async def keep(self) -> None:
        """Reconnect and restore after each loss, until cancelled."""
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
        if self._connection is None or not self._connection.connected.is_set():
            await self._connect()
            _log.info("connected to the broker again")
        if self.restore is not None and self._connection is not None:
            await self.restore(self._connection)

    async def _connect(self) -> None:
        # Read each time: the password or a certificate may have been changed meanwhile.
        url = parsed(current(self._address))
        if self._connection is not None:
            await self.close()
        with cancellable():
            connection = await _connected(url, self._name)
        connection.close_callbacks.add(lambda *_: self._lost.set())
        self._connection = connection


class Lane:
    """One channel of a link, opened at its first use and again when it was closed."""

    def __init__(self, link: Link, *, confirms: bool) -> None:
        self._link = link
        self._confirms = confirms
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()

    async def channel(self) -> AbstractChannel:
        """Waits for the connection, without a timeout of its own."""
        async with self._opening:
            connection = await self._link.connection()
            if self._channel is None or self._channel.is_closed:
                self._channel = await connection.channel(
                    publisher_confirms=self._confirms, on_return_raises=self._confirms
                )
            return self._channel


class _Connection(aio_pika.Connection):
    """A connection to one address of a host, whose certificate bears the host's name."""

    PARAMETERS = (
        *aio_pika.Connection.PARAMETERS,
        ConnectionParameter(name="server_hostname", parser=str, is_kwarg=True),
    )

    async def connect(self, timeout: TimeoutType = None) -> None:
        try:
            await super().connect(timeout)
        except BaseException:
            await self.close()  # or its `__del__` would, in a task or thread of its own choice
            raise


async def _connected(url: URL, name: str) -> aio_pika.Connection:
    """Connects to the first address of the host that answers: a cluster's nodes share one name.

    The time is divided among the addresses, so that a silent one leaves time for the others. The
    order is random: the resolver may put the same one first each time, frozen or not.
    """
    named = url.update_query(heartbeat=HEARTBEAT_S, name=name)
    if url.scheme == "amqps":
        named = named.update_query(server_hostname=url.host or "")
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            addresses = await _addresses(url)
    except FOREIGN as error:
        raise refusal(error, url) from error
    for tried, address in enumerate(addresses, 1):
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S / len(addresses)):
                return await aio_pika.connect(
                    named.with_host(address), connection_class=_Connection
                )
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
    """The broker's address as a URL. Raises `SettingsError`, which does not show the password."""
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
