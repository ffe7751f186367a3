"""A broker and a PostgreSQL that speak TLS and require client certificates."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy.engine import make_url
from yarl import URL

from services.cli.machine.rabbitmq_node import RabbitNode
from tests.support.brokers.rabbitmq import AMQP_PORT, IMAGE, RabbitMqContainer, ctl_in
from tests.support.machine import need, need_image
from tests.support.network.certificates import Authority, Pair
from tests.support.processes.running import until
from tests.support.stores.postgresql import PASSWORD, Postgres
from tests.support.stores.postgresql import server as postgresql

AMQPS_PORT = 5671
CONFIG = """
listeners.ssl.1 = {address}
ssl_options.cacertfile = {ca}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
"""
ALL_READ, OWNER_READS = 0o644, 0o600

RULES = "hostssl all all all scram-sha-256 clientcert=verify-full\nlocal all all trust\n"
FILES = "/var/lib/postgresql"

Part = Path | str | None


@dataclass(frozen=True)
class SecuredBroker:
    """Its certificate is for `localhost`, not for 127.0.0.1."""

    plain: str
    """The address of its other listener, without TLS."""
    port: int
    ctl: Callable[..., str]
    authority: Authority
    own: Pair
    client: Pair

    def url(self, host: str = "localhost", **changed: Part) -> str:
        """The URL for a client; None leaves a part of the query out."""
        files: dict[str, Part] = {
            "cafile": self.authority.file,
            "certfile": self.client.certificate,
            "keyfile": self.client.key,
        }
        query = {key: str(value) for key, value in (files | changed).items() if value is not None}
        return str(URL(f"amqps://guest:guest@{host}:{self.port}/").with_query(query))

    def renew(self) -> None:
        """A new certificate in the old one's place, read now and not in two minutes."""
        self.authority.issue("localhost")
        readable(self.own)
        self.ctl("eval", "ssl:clear_pem_cache().")


def readable(pair: Pair) -> None:
    """Make them readable for the broker's user, which is another one in a container."""
    for file in (pair.certificate, pair.key):
        file.chmod(ALL_READ)


@contextmanager
def secured_node(folder: Path) -> Iterator[SecuredBroker]:
    """The distribution's broker as a private node."""
    need("rabbitmq-server")
    authority = Authority(folder / "ca")
    own, client = authority.issue("localhost"), authority.issue("client")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = int(holder.getsockname()[1])
    node = RabbitNode(folder / "node")
    (folder / "node").mkdir()
    (folder / "node" / "rabbitmq.conf").write_text(
        CONFIG.format(
            address=f"127.0.0.1:{port}",
            ca=authority.file,
            certificate=own.certificate,
            key=own.key,
        )
    )
    node.start()
    try:
        yield SecuredBroker(node.url, port, node.ctl, authority, own, client)
    finally:
        node.stop()


@contextmanager
def secured_container(folder: Path) -> Iterator[SecuredBroker]:
    """The image that the compose file pins."""
    need_image(IMAGE)
    authority = Authority(folder / "ca")
    own, client = authority.issue("localhost"), authority.issue("client")
    readable(own)
    config = CONFIG.format(
        address=AMQPS_PORT,
        ca="/tls/ca.pem",
        certificate=f"/tls/{own.certificate.name}",
        key=f"/tls/{own.key.name}",
    )
    (folder / "tls.conf").write_text(config)
    for part in (folder, folder / "ca"):
        part.chmod(0o755)
    broker = (
        RabbitMqContainer(IMAGE)
        .with_exposed_ports(AMQPS_PORT)
        .with_volume_mapping(str(folder / "ca"), "/tls", "ro")
        .with_volume_mapping(str(folder / "tls.conf"), "/etc/rabbitmq/conf.d/20-tls.conf", "ro")
    )
    broker.start()
    try:
        plain = f"{broker.get_container_host_ip()}:{broker.get_exposed_port(AMQP_PORT)}"
        yield SecuredBroker(
            f"amqp://guest:guest@{plain}/",
            int(broker.get_exposed_port(AMQPS_PORT)),
            ctl_in(broker),
            authority,
            own,
            client,
        )
    finally:
        broker.stop()


BROKERS = {"rabbitmq-3.10": secured_node, "rabbitmq-4.0": secured_container}


@dataclass(frozen=True)
class SecuredStore:
    server: Postgres
    authority: Authority
    client: Pair

    def url(self, address: str | None = None, **changed: Part) -> str:
        """The URL for a client; None leaves a part of the query out."""
        parts: dict[str, Part] = {
            "sslmode": "verify-full",
            "sslrootcert": self.authority.file,
            "sslcert": self.client.certificate,
            "sslkey": self.client.key,
        }
        query = {key: str(value) for key, value in (parts | changed).items() if value is not None}
        url = f"postgresql://hutch:{PASSWORD}@{address or self.server.address}/hutch"
        return make_url(url).set(query=query).render_as_string(hide_password=False)


@contextmanager
def secured_store(folder: Path) -> Iterator[SecuredStore]:
    """A server with a certificate for `localhost`, not for 127.0.0.1."""
    authority = Authority(folder / "store-ca")
    own, client = authority.issue("localhost"), authority.issue("client", common_name="hutch")
    with postgresql() as running:
        for file, name in ((own.certificate, "cert"), (own.key, "key"), (authority.file, "ca")):
            running.container.copy_into_container(file, f"{FILES}/{name}", OWNER_READS)
            running.sql(f"ALTER SYSTEM SET ssl_{name}_file = '{FILES}/{name}'")
        command = f"chown postgres {FILES}/*; printf '{RULES}' > {FILES}/data/pg_hba.conf"
        assert running.container.exec(["bash", "-c", command]).exit_code == 0
        running.sql("ALTER SYSTEM SET ssl = on")
        running.sql("SELECT pg_reload_conf()")
        until(lambda: running.sql("SHOW ssl") == "on")
        port = running.address.rpartition(":")[2]
        yield SecuredStore(replace(running, address=f"localhost:{port}"), authority, client)
