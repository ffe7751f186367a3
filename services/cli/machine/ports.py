"""Free ports of the loopback interface, and whether one of them answers."""

from __future__ import annotations

import socket


def free_ports(count: int) -> list[int]:
    """Ports that no process uses at this moment."""
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(holder.getsockname()[1]) for holder in holders]
    finally:
        for holder in holders:
            holder.close()


def answers(port: int) -> bool:
    """Whether a process accepts connections; waits for a second at most."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
