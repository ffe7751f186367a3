"""A connection that is restored after every loss, and its channels.

It uses aio-pika's plain connection instead of its robust classes. Those restore only objects that
are still referenced, in no fixed order; they wait without a timeout and retry without jitter. Here
one loop restores everything, in order.
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

from shared.broker.errors import FOREIGN, broker_request, cancellable, connection_error
from shared.broker.transport import GatheringTransport
from shared.errors import BrokerError, BrokerUnavailable, SettingsError
from shared.settings.secrets import Address, current
from shared.settings.tls import check_files

HEARTBEAT_S = 10
"""A connection on which nothing arrives for three times this long is given up."""
RECONNECT_S = 1.0
"""The longest random wait before a reconnect, so that not all clients reconnect at once."""
CONNECT_TIMEOUT_S = 10.0
"""The time for one attempt to connect, divided among the host's addresses."""
FIRST_RETRY_S = 0.5
PORTS = {"amqp": 5672, "amqps": 5671}
TLS_FILES = ("cafile", "certfile", "keyfile")
"""Parameters in the query of the broker's address, from which aiormq reads file names."""

Restore = Callable[[aio_pika.Connection], Awaitable[None]]
_log = logging.getLogger(__name__)


class Link:
    """A connection for the lifetime of the process; the job `keep` restores it after a loss."""

    def __init__(self, address: Address, name: str, logged: set[str] | None = None) -> None:
        """`logged` has the failures that were logged since the last connection; links share it."""
        self._address = address
        self._name = name
        self._logged = set() if logged is None else logged
        self._connection: aio_pika.Connection | None = None
        self._ready = asyncio.Event()
        self._lost = asyncio.Event()
        self.restore: Restore | None = None
        """Called after each reconnect and each `repair`, and repeated until it succeeds."""

    @property
    def ready(self) -> bool:
        return self._ready.is_set() and not self._lost.is_set()

    async def blocked(self) -> bool:
        """Whether the broker reads nothing from this connection: its memory or disk is short."""
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
        """Connect for the first time. Retries for `wait_s` while no broker answers.

        Raises `BrokerError`, at once if the broker refuses, or `SettingsError` if the address is
        not valid.
        """
        until, logged = asyncio.get_running_loop().time() + wait_s, False
        while True:
            try:
                await self._connect()
            except BrokerUnavailable as error:
                if asyncio.get_running_loop().time() >= until:
                    raise
                if not logged:
                    _log.warning("%s", error)
                logged = True
                await asyncio.sleep(FIRST_RETRY_S)
            else:
                self._ready.set()
                return

    async def open_once(self) -> None:
        """Connect like `open` if there was no connection yet. Not for concurrent callers."""
        if self._connection is None:
            await self.open(wait_s=0)

    async def connection(self) -> aio_pika.Connection:
        """Wait, without a timeout, until the connection is up and restored, and return it."""
        await self._ready.wait()
        assert self._connection is not None
        return self._connection

    async def renew(self) -> None:
        """Close a connection on which the broker no longer responds; `keep` opens another one."""
        if self._connection is not None:
            try:
                async with broker_request("close the connection"):
                    await self._connection.close()
            except BrokerUnavailable:
                _log.debug("the broker was gone before the connection was closed")

    def repair(self) -> None:
        """Make `keep` restore everything on this connection, because a part of it has failed."""
        self._lost.set()

    async def keep(self) -> None:
        """Reconnect and restore after each loss, until cancelled."""
        while True:
            await self._lost.wait()
            self._ready.clear()
            await asyncio.sleep(random.uniform(0, RECONNECT_S))
            self._lost.clear()
            try:
                await self._reconnect_and_restore()
            except (BrokerError, SettingsError) as error:
                self._log_once(error)
                self._lost.set()
            else:
                self._logged.clear()
                self._ready.set()

    def _log_once(self, error: Exception) -> None:
        # Without the socket's words in parentheses: while a broker ends, they change.
        failure = str(error).partition(" (")[0]
        if failure not in self._logged:
            _log.warning("%s", error)
        self._logged.add(failure)

    async def close(self) -> None:
        self._ready.clear()
        await self.renew()

    async def _reconnect_and_restore(self) -> None:
        if self._connection is None or _is_closed(self._connection):
            await self._connect()
            _log.info("connected to the broker again")
        if self.restore is not None and self._connection is not None:
            await self.restore(self._connection)

    async def _connect(self) -> None:
        # Read at each attempt: the password or a certificate may have changed.
        url = parsed(current(self._address))
        if self._connection is not None:
            await self.close()
        with cancellable():
            connection = await _connect_to_host(url, self._name)
        # aio-pika takes a connection for open that the broker closes before `connect` returns, and
        # calls no callback that is added after it. Its underlay's future is done then.
        if connection.transport is None:
            self._lost.set()
        else:
            connection.transport.connection.closing.add_done_callback(lambda _: self._lost.set())
        self._connection = connection


def _is_closed(connection: aio_pika.Connection) -> bool:
    return connection.transport is None or connection.transport.connection.is_closed


class LinkChannel:
    """One channel of a link, opened at its first use and reopened after it was closed."""

    def __init__(self, link: Link, *, confirms: bool) -> None:
        self._link = link
        self._confirms = confirms
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()

    async def get(self) -> AbstractChannel:
        """The open channel. Waits for the connection without a timeout."""
        async with self._opening:
            connection = await self._link.connection()
            if self._channel is None or self._channel.is_closed:
                self._channel = await connection.channel(
                    publisher_confirms=self._confirms, on_return_raises=self._confirms
                )
            return self._channel


class _Connection(aio_pika.Connection):
    """A connection to an IP address; the certificate is checked against the host's name."""

    PARAMETERS = (
        *aio_pika.Connection.PARAMETERS,
        ConnectionParameter(name="server_hostname", parser=str, is_kwarg=True),
    )

    async def connect(self, timeout: TimeoutType = None) -> None:
        self.kwargs["transport_factory"] = GatheringTransport()  # passed on to aiormq
        try:
            await super().connect(timeout)
        except BaseException:
            await self.close()  # else `__del__` closes it, in an arbitrary task or thread
            raise


async def _connect_to_host(url: URL, name: str) -> aio_pika.Connection:
    """Connect to the first address of the host that answers; a cluster's nodes may share one name.

    The time is divided among the addresses, so that one that does not answer leaves time for the
    others. The order is random: the resolver may return the same address first each time, even
    when it does not answer.
    """
    named = url.update_query(heartbeat=HEARTBEAT_S, name=name)
    if url.scheme == "amqps":
        named = named.update_query(server_hostname=url.host or "")
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            addresses = await _addresses(url)
    except FOREIGN as error:
        raise connection_error(error, url) from error
    for tried, address in enumerate(addresses, 1):
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S / len(addresses)):
                return await aio_pika.connect(
                    named.with_host(address), connection_class=_Connection
                )
        except FOREIGN as error:
            refused = connection_error(error, url)
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
    """The broker's address as a URL. Raises `SettingsError`; its text has no password."""
    try:
        address = URL(url)
        if address.scheme in PORTS and address.host:
            check_files("RABBITMQ_URL", address.query, TLS_FILES)
            return address.with_port(address.port or PORTS[address.scheme])
    except ValueError:
        pass  # raised below without the address, which may hold a password
    raise SettingsError(
        "RABBITMQ_URL is no broker's address: write amqp://user:password@host:5672/"
    )
