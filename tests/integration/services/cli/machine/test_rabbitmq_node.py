import errno
import socket
from pathlib import Path

import pytest
from yarl import URL

from services.cli.machine.rabbitmq_node import RabbitNode
from shared.broker.connection import connect
from shared.errors import BrokerError

pytestmark = pytest.mark.needs("rabbitmq-server")


async def test_a_private_node_keeps_its_data_and_leaves_nothing_running(tmp_path: Path) -> None:
    node = RabbitNode(tmp_path / "broker")
    node.start()
    try:
        node.ctl("add_vhost", "kept")
        async with connect(node.url, "test") as broker:
            assert await broker.depth("agent.nobody") is None
        with pytest.raises(BrokerError, match="another broker runs in"):
            RabbitNode(tmp_path / "broker").start()
        with pytest.raises(BrokerError, match="rabbitmqctl delete_vhost failed: "):
            node.ctl("delete_vhost", "unknown")
    finally:
        node.stop()
    for port in (URL(node.url).port, int(node.environment["ERL_EPMD_PORT"])):
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", port or 0)) == errno.ECONNREFUSED
    again = RabbitNode(tmp_path / "broker")
    again.start()
    try:
        assert "kept" in again.ctl("list_vhosts")
    finally:
        again.stop()
