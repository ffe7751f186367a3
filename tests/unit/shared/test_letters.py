from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.broker.consuming import Delivery
from shared.errors import HutchError
from shared.letters import MOST_REASON_CHARS, PREFIX, Fault, headers, read
from tests.instances import delivery

DIED = datetime(2026, 5, 4, 9, 30, tzinfo=UTC)


def ours(reason: str = "no sense", **facts: str | int) -> Delivery:
    said: dict[str, str | int] = {"queue": "agent.bob", "routing_key": "bob", **facts}
    letter = delivery(b"{", correlation_id="c", reply_to="reply.x")
    return replace(letter, headers=headers(reason, None, **said), message_id=PREFIX + "abc")


def brokers(reason: str = "delivery_limit", queue: str = "agent.bob") -> Delivery:
    death = {"reason": reason, "queue": queue, "routing-keys": ["bob"], "time": DIED, "count": 1}
    return replace(delivery(b"{}"), headers={"x-death": [death]}, message_id="m-1")


def test_a_letter_of_ours_says_everything() -> None:
    letter = read(ours(message_id="m", sender="shop", attempts=3, run_id="r", epoch=2))
    assert (letter.id, letter.agent, letter.message_id) == ("abc", "bob", "m")
    assert (letter.sender, letter.attempts) == ("shop", 3)
    assert (letter.run_id, letter.epoch) == ("r", 2)
    assert letter.last.reason == "no sense"
    assert letter.last.at is not None
    assert letter.first == letter.last


def test_a_letter_of_the_brokers_says_what_it_knows() -> None:
    letter = read(brokers())
    assert (letter.agent, letter.queue, letter.message_id) == ("bob", "agent.bob", "m-1")
    assert letter.last.reason.startswith("the broker gave it up: processes died on it")
    assert letter.last.at == DIED
    assert letter.attempts is None
    assert "later" in read(brokers("later")).last.reason


def test_an_id_is_the_same_at_every_look_and_another_for_each_letter() -> None:
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
def test_whatever_else_stands_there_is_a_letter_too(said: dict[str, object]) -> None:
    letter = read(replace(delivery(b"\xff"), headers=said))
    assert "nothing says why" in letter.last.reason
    assert letter.last.at is None
    with pytest.raises(HutchError, match=f"can only be dropped, with 'hutch dead drop {letter.id}"):
        letter.again()


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
    again = read(ours(queue=queue, routing_key=key)).again()
    assert (again.exchange, again.routing_key) == source
    assert (again.body, again.correlation_id, again.reply_to) == (b"{", "c", "reply.x")


def test_its_id_is_its_own_or_the_letters_and_never_changes() -> None:
    assert read(ours(message_id="m")).again().message_id == "m"
    assert read(ours()).again().message_id == read(ours()).again().message_id == "replay.abc"


def test_the_first_failure_is_told_with_the_last_however_often_it_fails() -> None:
    once = letter = read(ours("once"))
    for reason in ("twice", "thrice"):
        failed_again = headers(reason, letter.again().headers, queue="agent.bob")
        letter = read(replace(delivery(b"{"), headers=failed_again))
    assert (letter.first, letter.last.reason) == (once.first, "thrice")


def test_a_reason_is_cut_to_what_a_header_takes() -> None:
    assert len(read(ours("x" * 10_000)).last.reason) == MOST_REASON_CHARS


def test_a_fault_without_a_time_is_told_without_one() -> None:
    assert read(replace(delivery(b""), headers={"x-hutch-reason": "why"})).last == Fault("why")
