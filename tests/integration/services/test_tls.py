"""Whole processes that speak TLS to broker and store, each with a certificate of its own."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.store.database.migrate import migrate
from tests.support.brokers.secured import BROKERS, SecuredBroker, SecuredStore, secured_store
from tests.support.client import client
from tests.support.network.certificates import Authority
from tests.support.processes import running
from tests.support.processes.running import System

pytestmark = pytest.mark.long


@pytest.fixture(scope="module", params=BROKERS)
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecuredBroker]:
    with BROKERS[request.param](tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredStore]:
    with secured_store(tmp_path_factory.mktemp("store")) as running:
        asyncio.run(migrate(running.url()))
        yield running


@pytest.fixture
def system(broker: SecuredBroker, store: SecuredStore, tmp_path: Path) -> Iterator[System]:
    with running.system(broker.url(), tmp_path) as system:
        system.env["HUTCH_STORE"] = store.url()
        system.model()
        yield system


def subjects(broker: SecuredBroker) -> set[str]:
    """The subjects of the certificates that the broker's clients have shown."""
    listed = broker.ctl("list_connections", "ssl", "peer_cert_subject").splitlines()
    return {line.split("\t")[1] for line in listed if line.startswith("true")}


def serials(store: SecuredStore) -> set[str]:
    """The same at the store; the test's own queries are not counted."""
    return set(
        store.server.sql(
            "SELECT client_serial FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)"
            " WHERE datname = 'hutch' AND client_addr IS NOT NULL"
        ).split()
    )


def served(broker: SecuredBroker) -> str:
    """The number of the certificate that the broker shows."""
    trust = ssl.create_default_context(cafile=broker.authority.file)
    trust.load_cert_chain(broker.client.certificate, broker.client.key)
    with (
        socket.create_connection(("localhost", broker.port)) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        return str((secured.getpeercert() or {})["serialNumber"])


def asked(broker: SecuredBroker, text: str) -> str:
    """Bob's status, asked by the listener without TLS."""
    with client(broker.plain) as pika:
        return pika.ask("bob", text).status


def test_an_agent_answers_and_takes_up_certificates_that_were_renewed(
    system: System, broker: SecuredBroker, store: SecuredStore
) -> None:
    [bob] = system.agents("bob")
    assert asked(broker, "Write.") == "ok"
    shown = served(broker), subjects(broker), serials(store)
    assert len(shown[1]) == len(shown[2]) == 1

    broker.renew()
    broker.authority.issue("client")
    store.authority.issue("client", common_name="hutch")
    broker.ctl("close_all_connections", "a test closes them")
    store.server.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_addr IS NOT NULL"
    )
    assert asked(broker, "Write again.") == "ok"
    again = served(broker), subjects(broker), serials(store)
    assert again[0] != shown[0]
    assert len(again[1]) == len(again[2]) == 1
    assert again[1] != shown[1]
    assert again[2] != shown[2]
    assert bob.end() == 0
    assert "Traceback" not in bob.output


def test_another_authority_is_one_sentence_and_an_exit_code(
    system: System, broker: SecuredBroker, store: SecuredStore, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger").file
    wrong = {
        "RABBITMQ_URL": broker.url(cafile=stranger),
        "HUTCH_STORE": store.url(sslrootcert=stranger),
    }
    for name, url in wrong.items():
        bob = system.start("services.agent", "bob", **{name: url})
        assert bob.ended() == 1
        *_, last = bob.output.splitlines()
        assert last.startswith("hutch agent bob: ")
        assert "self-signed certificate in certificate chain" in last
        assert name in last
        assert "Traceback" not in bob.output
