"""Free ports of this machine, and whether one of them answers."""

from __future__ import annotations

import socket
from contextlib import suppress


def free_ports(count: int) -> list[int]:
    """Ports that no process uses at this moment."""
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(holder.getsockname()[1]) for holder in holders]
    finally:
        for holder in holders:
            holder.close()


def free_port(host: str, wanted: int) -> int:
    """This port of an address if no process uses it, otherwise any free one.

    An address that can't be listened on is left to the process that gets the port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in (wanted, 0):
        with suppress(OSError), socket.create_server((host, port), family=family) as holder:
            return int(holder.getsockname()[1])
    return wanted


def answers(port: int) -> bool:
    """Whether a process accepts connections; waits for a second at most."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
