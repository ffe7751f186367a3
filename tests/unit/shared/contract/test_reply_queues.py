"""The addresses that an answer may go to."""

from __future__ import annotations

from base64 import b64encode

import pytest

from shared.contract.reply_queues import is_reply_queue

MADE = "amq.rabbitmq.reply-to.g1h2AA5yZXBseUA2NzA0NTQyOAAACTkAAAAAawzAww==.E25/Km7sD2Viybg7UyfUAA=="
"""An address that RabbitMQ 3.10 has made."""
NODE = b"reply@67045428"


def direct(channel: bytes, key: str = "a2V5") -> str:
    return f"amq.rabbitmq.reply-to.{b64encode(channel).decode()}.{key}"


@pytest.mark.parametrize(
    "name",
    [
        "reply.alice.1",
        "amq.gen-abc",
        MADE,
        direct(b"\x83Xd\x00\x0e" + NODE + bytes(12)),
        direct(b"\x83Xw\x0e" + NODE + bytes(12)),
    ],
)
def test_queues_of_clients_and_the_brokers_own_addresses_may_be_named(name: str) -> None:
    assert is_reply_queue(name)


@pytest.mark.parametrize(
    "name",
    [
        "agent.bob",
        "reply.\0",
        "reply.é",
        "amq.rabbitmq.reply-to",
        "amq.rabbitmq.reply-to.",
        "amq.rabbitmq.reply-to.g1h2.nobody",
        MADE.removesuffix("E25/Km7sD2Viybg7UyfUAA=="),
        MADE.rpartition(".")[0],
        f"{MADE}.x",
        f"{MADE}é",
        MADE.replace("to.g1h2", "to.g1h3"),
        direct(b"\x83Xw\x0f" + NODE + bytes(12)),
        direct(b"\x83Xw\x0e" + NODE + bytes(11)),
        direct(b"\x83Xw\x08" + b"rabbit@a" + bytes(12)),
    ],
)
def test_an_address_that_no_broker_has_made_may_not(name: str) -> None:
    assert not is_reply_queue(name)
