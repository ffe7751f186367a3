"""TLS to a real broker that wants a certificate from its clients: all of it from the URL."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.broker.connection import Broker, connect
from shared.broker.publisher import Outgoing
from shared.contract import topology
from shared.errors import BrokerError, BrokerUnavailable, SettingsError
from tests.support.brokers.rabbitmq import Rabbit
from tests.support.brokers.secured import BROKERS, SecuredBroker
from tests.support.brokers.waiting import lose_connections, until
from tests.support.network.certificates import Authority

WAIT_S = 30.0
"""A start would wait so long for a broker that is away; a refusal is reported long before."""


@pytest.fixture(scope="module", params=BROKERS)
def secured(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecuredBroker]:
    with BROKERS[request.param](tmp_path_factory.mktemp("tls")) as running:
        yield running


async def echoed(broker: Broker, bodies: list[bytes]) -> list[bytes]:
    """Published at once and consumed again."""
    await broker.declare(topology.system() + topology.mailbox("bob"))
    consumer = await broker.consumer("agent.bob")
    await consumer.start(len(bodies))
    out = [Outgoing("", "agent.bob", body, str(n)) for n, body in enumerate(bodies)]
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(*(broker.publisher.publish(one) for one in out))
        received: list[bytes] = []
        async for delivery in consumer:
            await delivery.ack()
            received.append(delivery.body)
            if len(received) == len(bodies):
                return received
    raise AssertionError("the consumer ended")


async def test_messages_of_all_sizes_pass_both_ways_and_survive_a_lost_connection(
    secured: SecuredBroker,
) -> None:
    bodies = [bytes([n]) * size for n, size in enumerate([1, 100, 20_000, 400_000] * 10)]
    async with connect(secured.url(), "test", wait_s=WAIT_S) as broker:
        assert sorted(await echoed(broker, bodies)) == sorted(bodies)
        assert "true" in secured.ctl("list_connections", "ssl")
        await lose_connections(Rabbit(secured.plain, "/", "", secured.ctl), broker)
        assert await broker.takes_messages()


@pytest.mark.essential
async def test_each_cause_of_distrust_is_reported_at_once_in_one_sentence(
    secured: SecuredBroker, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger")
    theirs = stranger.issue("client")
    cases = {
        secured.url(cafile=stranger.file): "self-signed certificate in certificate chain",
        secured.url(cafile=None): "self-signed certificate in certificate chain",
        secured.url(host="127.0.0.1"): "ip address mismatch",
        secured.url(certfile=None, keyfile=None): "certificate required",
        secured.url(certfile=theirs.certificate, keyfile=theirs.key): "alert unknown ca",
        secured.url(certfile=theirs.certificate): "key values mismatch",
        secured.url(cafile=secured.client.key): "no certificate or crl found",
        secured.plain.replace("amqp://", "amqps://"): "wrong version number",
    }
    for url, why in cases.items():
        began = time.monotonic()
        with pytest.raises(BrokerError, match=why) as caught:
            async with connect(url, "test", wait_s=WAIT_S):
                pass
        said = str(caught.value)
        assert not isinstance(caught.value, BrokerUnavailable), said
        assert "correct cafile, certfile and keyfile in RABBITMQ_URL" in said
        assert "\n" not in said
        assert "guest" not in said
        assert time.monotonic() - began < WAIT_S / 2


async def test_without_tls_a_listener_that_wants_it_is_no_broker(secured: SecuredBroker) -> None:
    url = f"amqp://guest:guest@127.0.0.1:{secured.port}/"
    with pytest.raises(BrokerError, match=f"127.0.0.1:{secured.port}") as caught:
        async with connect(url, "test"):
            pass
    assert "\n" not in str(caught.value)


async def test_a_certificate_that_is_not_there_is_named(secured: SecuredBroker) -> None:
    with pytest.raises(SettingsError, match=r"RABBITMQ_URL names a cafile.*'/nowhere/ca\.pem'"):
        async with connect(secured.url(cafile="/nowhere/ca.pem"), "test", wait_s=WAIT_S):
            pass


async def test_a_certificate_that_was_renewed_is_read_at_the_next_connection(
    secured: SecuredBroker, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While the certificate is wrong, the process retries, and logs the reason once."""
    trusted = tmp_path / "ca.pem"
    trusted.write_bytes(secured.authority.file.read_bytes())
    caplog.set_level(logging.WARNING, "shared.broker")
    async with connect(secured.url(cafile=trusted), "test", wait_s=WAIT_S) as broker:
        trusted.write_bytes(Authority(tmp_path / "stranger").file.read_bytes())
        secured.ctl("close_all_connections", "a test closes them")
        await until(lambda: "no trust between" in caplog.text)
        assert not broker.connected
        trusted.write_bytes(secured.authority.file.read_bytes())
        await until(lambda: broker.connected)
    assert caplog.text.count("no trust between") <= 2  # one for each of the two connections
