"""The server that a webhook goes to.

A client chooses the address, so it must not lead into the network of the gateway: only public
addresses are reached, and those private hosts that the settings name.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import ip_address

from httpx2 import URL, InvalidURL

from shared.errors import HutchError

MOST_CHARS = 2_000


class Unreachable(HutchError):
    """The address of a webhook is wrong, or must not be reached; the text says why."""


@dataclass(frozen=True)
class Destination:
    """An address and the server that its host names now.

    A request goes to `server`, not to what the name means a moment later: it may then mean another
    server.
    """

    url: URL
    server: str

    @property
    def request_url(self) -> URL:
        return self.url.copy_with(host=self.server)

    @property
    def host(self) -> str:
        """The value of the header `Host`."""
        return self.url.netloc.decode("ascii")


def checked(address: str, private: Collection[str]) -> URL:
    """The address of a webhook as its client gives it. Raises `Unreachable`.

    `private` are the names of hosts that may be in private networks, and that need no TLS.
    """
    try:
        url = URL(address)
    except InvalidURL as error:
        raise Unreachable(f"'{address[:100]}' is no address: {error}") from error
    if len(address) > MOST_CHARS:
        raise Unreachable(f"an address has at most {MOST_CHARS} characters")
    if not url.host or url.userinfo or url.fragment:
        raise Unreachable("an address has a host, and neither a user nor a fragment")
    if url.scheme != "https" and not (url.scheme == "http" and url.host in private):
        raise Unreachable(
            f"an address begins with https://; http is for hosts in HUTCH_WEBHOOK_HOSTS, and "
            f"'{url.host}' is not one of them"
        )
    return url


async def destination(address: str, private: Collection[str]) -> Destination:
    """Raises `Unreachable` as `checked` does, for a host that is not found, and for one in a
    private network."""
    url = checked(address, private)
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # a name that DNS can't have is the latter
        reason = getattr(error, "strerror", None) or "no host has such a name"
        raise Unreachable(f"the host '{url.host[:100]}' is not found: {reason}") from error
    servers = [str(it[4][0]) for it in found]
    if url.host not in private and not all(ip_address(it).is_global for it in servers):
        raise Unreachable(f"'{url.host}' is in a private network: HUTCH_WEBHOOK_HOSTS must name it")
    return Destination(url, servers[0])
