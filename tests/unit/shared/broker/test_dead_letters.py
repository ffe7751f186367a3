from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pamqp.commands import Basic
from pamqp.frame import marshal
from pamqp.header import ContentHeader

from shared.broker.consumer import Delivery
from shared.broker.dead_letters import (
    MOST_REASON_BYTES,
    PREFIX,
    Fault,
    from_store,
    headers,
    kept,
    read,
)
from shared.broker.publisher import Outgoing
from shared.contract.dead_letters import Kept
from shared.errors import HutchError
from tests.support.processes.instances import delivery

DIED = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)


def ours(reason: str = "no sense", **facts: str | int) -> Delivery:
    said: dict[str, str | int] = {"queue": "agent.bob", "routing_key": "bob", **facts}
    dead_letter = delivery(b"{", correlation_id="c", reply_to="reply.x")
    return replace(dead_letter, headers=headers(reason, None, **said), message_id=PREFIX + "abc")


def brokers(reason: str = "delivery_limit", queue: str = "agent.bob") -> Delivery:
    death = {"reason": reason, "queue": queue, "routing-keys": ["bob"], "time": DIED, "count": 1}
    return replace(delivery(b"{}"), headers={"x-death": [death]}, message_id="m-1")


def test_a_dead_letter_of_an_agents_has_every_field() -> None:
    dead_letter = read(ours(message_id="m", sender="shop", attempts=3, run_id="r", epoch=2))
    assert (dead_letter.id, dead_letter.agent, dead_letter.message_id) == ("abc", "bob", "m")
    assert (dead_letter.sender, dead_letter.attempts) == ("shop", 3)
    assert (dead_letter.run_id, dead_letter.epoch) == ("r", 2)
    assert dead_letter.last.reason == "no sense"
    assert dead_letter.last.at is not None
    assert dead_letter.first == dead_letter.last


def test_a_dead_letter_of_the_brokers_has_the_fields_that_the_broker_knows() -> None:
    dead_letter = read(brokers())
    assert (dead_letter.agent, dead_letter.queue, dead_letter.message_id) == (
        "bob",
        "agent.bob",
        "m-1",
    )
    assert dead_letter.last.reason.startswith(
        "the broker gave it up: it was delivered more than 10 times"
    )
    assert dead_letter.last.at == DIED
    assert dead_letter.attempts is None
    assert "later" in read(brokers("later")).last.reason


def test_an_id_is_the_same_at_every_listing_and_different_for_each_dead_letter() -> None:
    assert read(brokers()).id == read(brokers()).id
    letters = [brokers(), brokers("expired"), replace(brokers(), body=b"[]"), ours()]
    assert len({read(it).id for it in letters}) == len(letters)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"x-death": "no list"},
        {"x-death": []},
        {"x-death": [{"reason": None, "time": "noon", "routing-keys": "bob"}]},
        {"x-hutch-reason": 7, "x-hutch-at": "noon", "x-hutch-attempts": "many"},
    ],
)
def test_a_message_with_any_other_headers_is_read_as_a_dead_letter(said: dict[str, object]) -> None:
    dead_letter = read(replace(delivery(b"\xff"), headers=said))
    assert "nothing says why" in dead_letter.last.reason
    assert dead_letter.last.at is None
    with pytest.raises(
        HutchError, match=f"can only be dropped, with 'hutch dead drop {dead_letter.id}"
    ):
        dead_letter.original()


@pytest.mark.parametrize(
    ("queue", "key", "source"),
    [
        ("agent.bob", "agent.bob", ("hutch.tasks", "bob")),
        ("unrouted", "alcie", ("hutch.tasks", "alcie")),
        ("swarm.tom", "", ("", "swarm.tom")),
    ],
)
def test_a_message_goes_back_to_where_it_came_from(
    queue: str, key: str, source: tuple[str, str]
) -> None:
    again = read(ours(queue=queue, routing_key=key)).original()
    assert (again.exchange, again.routing_key) == source
    assert (again.body, again.correlation_id, again.reply_to) == (b"{", "c", "reply.x")


def test_a_replayed_message_keeps_its_id_or_gets_one_from_its_dead_letter() -> None:
    assert read(ours(message_id="m")).original().message_id == "m"
    assert read(ours()).original().message_id == read(ours()).original().message_id == "replay.abc"


def test_the_first_and_the_last_failure_are_kept_however_often_it_fails() -> None:
    once = dead_letter = read(ours("once"))
    for reason in ("twice", "thrice"):
        failed_again = headers(reason, dead_letter.original().headers, queue="agent.bob")
        dead_letter = read(replace(delivery(b"{"), headers=failed_again))
    assert (dead_letter.first, dead_letter.last.reason) == (once.first, "thrice")


@pytest.mark.parametrize("character", ["x", "é", "你", "\U0001f600"])
def test_a_reason_is_cut_to_the_length_of_a_header_and_marked_as_cut(character: str) -> None:
    whole = character * 10_000
    reason = read(ours(whole)).last.reason
    assert MOST_REASON_BYTES - 4 < len(reason.encode()) <= MOST_REASON_BYTES
    assert reason.endswith(f"… (cut, it had {len(whole.encode())} bytes)")


def test_a_reason_that_no_text_can_hold_is_shown_as_far_as_it_goes() -> None:
    assert read(ours("half a character: \ud800")).last.reason == "half a character: ?"


def test_a_dead_letter_fits_the_smallest_frame_whatever_its_message_contains() -> None:
    """4096 bytes are the least that the protocol lets a broker take."""
    longest = "\U0001f600" * 63
    foreign: dict[str, object] = {
        "x-hutch-first-reason": longest * 500,
        "x-hutch-first-at": "2026-05-04T09:30:00.123456+23:59:59.999999",
        "x-anything": longest * 500,
    }
    said = headers(
        longest * 500,
        foreign,
        queue="reply." + "a" * 40 + "." + "a" * 40 + ".12345678",
        routing_key=longest,
        message_id=longest,
        sender=longest * 2,
        instance="a" * 40 + ".12345678",
        attempts=2**31,
        run_id="r" * 32,
        epoch=2**31,
    )
    properties = Basic.Properties(
        content_type=longest,
        correlation_id=longest,
        delivery_mode=2,
        headers={**said},
        message_id=PREFIX + "m" * 43,
        reply_to=longest,
        user_id=longest,
    )
    frame = marshal(ContentHeader(body_size=2**40, properties=properties), 2047)
    assert len(frame) + 200 < 4096, "with some room for what brokers add"


def test_headers_in_a_dead_letter_are_bounded_when_it_is_replayed() -> None:
    names = ("message-id", "routing-key", "reason", "first-reason")
    said: dict[str, object] = {f"x-hutch-{name}": "x" * 130_000 for name in names}
    dead_letter = read(replace(delivery(b"{"), headers=said | {"x-hutch-queue": "unrouted"}))
    again = dead_letter.original()
    assert max(len(it) for it in (again.message_id, again.routing_key)) <= 255
    assert len(str(again.headers)) < 1000


def test_a_dead_letter_is_the_same_when_it_is_read_back_from_the_store() -> None:
    dead_letter = Outgoing(
        "hutch.dead",
        "agent.bob",
        b"\xff\0",
        PREFIX + "abc",
        correlation_id="Grüße",
        reply_to="reply.x",
        headers=headers("no sense", None, queue="agent.bob", message_id="m", attempts=2),
        content_type="text/plain",
    )
    assert from_store(kept(dead_letter)) == read(dead_letter)


def test_a_dead_letter_with_damaged_properties_can_still_be_read() -> None:
    dead_letter = from_store(
        Kept(PREFIX + "abc", "agent.bob", b"{", {"headers": 7, "reply_to": []})
    )
    assert (dead_letter.id, dead_letter.body, dead_letter.reply_to) == ("abc", b"{", None)


def test_only_a_message_that_the_broker_gave_up_may_have_been_run() -> None:
    assert read(brokers()).by_broker
    assert not read(ours()).by_broker


def test_a_failure_without_a_time_is_read_without_one() -> None:
    assert read(replace(delivery(b""), headers={"x-hutch-reason": "why"})).last == Fault("why")
