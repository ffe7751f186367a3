"""The messages under way that a broker has refused when it closes their channel."""

from __future__ import annotations

import pytest
from aiormq.exceptions import ChannelAccessRefused, ChannelClosed, ChannelPreconditionFailed

from shared.broker.publisher import Outgoing, _forbidden, _is_about
from shared.errors import Forbidden, Undeliverable

OLD = "ACCESS_REFUSED - access to {} in vhost '/' refused for user 'agent.bob'"
NEW = "ACCESS_REFUSED - write access to {} in vhost '/' refused for user 'agent.bob'"


def outgoing(exchange: str, key: str = "k", *, mandatory: bool = True) -> Outgoing:
    return Outgoing(exchange, key, b"12345", "m", mandatory=mandatory)


@pytest.mark.parametrize("said", [OLD, NEW])
def test_a_refused_exchange_is_that_of_the_messages_to_it(said: str) -> None:
    error = ChannelAccessRefused(said.format("exchange 'amq.default'"))
    assert _is_about(error, outgoing(""))
    assert not _is_about(error, outgoing("hutch.replies"))


@pytest.mark.parametrize("said", [OLD, NEW])
def test_a_refused_key_is_no_other_messages_fault(said: str) -> None:
    error = ChannelAccessRefused(said.format("topic 'cancel.tom' in exchange 'hutch.control'"))
    assert _is_about(error, outgoing("hutch.control", "cancel.tom"))
    assert not _is_about(error, outgoing("hutch.control", "cancel.bob"))
    assert not _is_about(error, outgoing("hutch.tasks", "cancel.tom"))


def test_a_body_too_large_is_known_by_its_size() -> None:
    error = ChannelPreconditionFailed("message size 5 is larger than configured max size 4")
    assert _is_about(error, outgoing("hutch.tasks"))


def test_a_closed_channel_without_a_reason_is_attributed_to_no_message() -> None:
    assert not _is_about(ChannelClosed(""), outgoing("hutch.tasks"))


def test_an_answer_that_a_foreign_queue_may_not_get_names_the_key_that_lets_it() -> None:
    error = _forbidden(outgoing("", "amq.gen-1"), "publish")
    assert isinstance(error, Undeliverable)
    assert "foreign_clients: true" in str(error)


def test_only_a_mandatory_message_is_published_again_after_a_refusal() -> None:
    must, may = (outgoing("hutch.replies", mandatory=it) for it in (True, False))
    assert type(_forbidden(must, "publish")) is Forbidden
    assert isinstance(_forbidden(may, "publish"), Undeliverable)
