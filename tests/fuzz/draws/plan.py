"""The messages that are sent, and their order: a pure function of the seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.contract.topology import (
    CONTROL,
    REPLIES,
    TASKS,
    cancel_key,
    shutdown_key,
    swarm_exchange_name,
)
from tests.fuzz.attack.team import REPLICAS, SWARM
from tests.fuzz.draws import bodies, properties
from tests.fuzz.draws.values import Draw, weighted

AGENTS = tuple(REPLICAS)
NO_AGENTS = ("nobody", "", "Boss", "é", "x" * 255, "agent.boss", "boss.x", "#")
"""Keys of the tasks' exchange that lead to no agent."""

Reply = Literal["kept", "named", "direct", "none", "odd"]
"""Where the answer is wanted: a durable queue, one that the broker named, the broker's direct
reply, nowhere, or where it can't be had."""
SESSIONS = 5
ODD_REPLIES: tuple[str | bytes, ...] = (
    "",
    "agent.hand",
    "dead",
    "events",
    "unrouted",
    "reply.",
    "reply.gone",
    "reply.boss.boss.00000000",
    "reply.é",
    "reply.\x00",
    "reply." + "x" * 249,
    "amq.gen-nobody",
    "amq.rabbitmq.reply-to.g1h2.nobody",
    "control.boss",
    b"reply.\xff",
)


@dataclass(frozen=True)
class Message:
    """`owed`: the product must answer it, once the broker has confirmed it."""

    exchange: str
    key: str
    body: bytes
    reply: Reply = "none"
    owed: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)

    @property
    def call(self) -> str:
        """The correlation id as it comes back."""
        given = self.properties.get("correlation_id") or ""
        return given.decode("utf-8", "replace") if isinstance(given, bytes) else str(given)


def marker(number: int) -> str:
    """A volley's marker: its task's id, and a part of its texts."""
    return f"f{number}."


def agent_of(seed: int, number: int) -> str:
    """The agent that a volley is for: known without drawing it, so that others can refer to it."""
    return random.Random(f"{seed} {number} agent").choice(AGENTS)


def volley(seed: int, number: int) -> tuple[Message, ...]:
    """The messages that one attack publishes, in this order."""
    draw = random.Random(f"{seed} {number}")
    return weighted(draw, KINDS)(draw, seed, number)


# Volleys: each kind draws its messages.

Kind = Callable[[Draw, int, int], tuple[Message, ...]]


def honest(draw: Draw, seed: int, number: int) -> tuple[Message, ...]:
    return (_asked(draw, agent_of(seed, number), bodies.encoded(_task("honest", number)), number),)


def wild(draw: Draw, seed: int, number: int) -> tuple[Message, ...]:
    """A right task, at which the endpoint goes wild; properties of all kinds."""
    return (_mail(draw, agent_of(seed, number), bodies.encoded(_wild(draw, number)), number),)


def nearly(draw: Draw, seed: int, number: int) -> tuple[Message, ...]:
    body = bodies.nearly(draw, _wild(draw, number))
    return (_mail(draw, agent_of(seed, number), body, number),)


def wrong(draw: Draw, seed: int, number: int) -> tuple[Message, ...]:
    body = bodies.wrong(draw, _task("wild", number))
    return (_mail(draw, agent_of(seed, number), body, number),)


def unaddressed(draw: Draw, seed: int, number: int) -> tuple[Message, ...]:
    """A task for no agent: it comes to `unrouted`."""
    make = draw.choice((bodies.nearly, bodies.wrong))
    return (_mail(draw, draw.choice(NO_AGENTS), make(draw, _task("wild", number)), number),)


def again(draw: Draw, seed: int, number: int) -> tuple[Message, ...]:
    """An earlier task's id, or this one's many times; same content or other."""
    of = draw.choice((number, max(0, number - draw.randrange(1, 30))))
    copies = []
    for copy in range(draw.randrange(2, 6)):
        other = draw.random() < 0.3
        body = bodies.encoded(_task("other" if other else "honest", of))
        copies.append(_asked(draw, agent_of(seed, of), body, number, copy))
    return tuple(copies)


def swarmed(draw: Draw, seed: int, number: int) -> tuple[Message, ...]:
    """To all peers at once: a trigger, a peer's response, or neither."""
    response: dict[str, object] = {
        "type": "response",
        "id": marker(number),
        "task_id": marker(number),
        "agent": draw.choice(("poet", "scribe", "stranger", "")),
        "status": "ok",
        "content": f"honest {marker(number)}",
        "hops": draw.choice((0, 1, 4, 5)),
    }
    trigger = _task("honest", number) | {"type": "trigger"}
    right = draw.choice((response, trigger))
    body = draw.choice(
        (bodies.encoded(right), bodies.nearly(draw, right), bodies.wrong(draw, right))
    )
    exchange = swarm_exchange_name(SWARM)
    return (Message(exchange, "", body, properties=properties.others(draw)),)


def replied(draw: Draw, seed: int, number: int) -> tuple[Message, ...]:
    """To a process's reply queue; `@` in the key stands for one that exists when it is sent."""
    right: dict[str, object] = {
        "type": "response",
        "task_id": marker(number),
        "agent": draw.choice(AGENTS),
        "status": "ok",
        "content": "forged",
        "usage": {"model_calls": -7991},
    }
    body = draw.choice((bodies.nearly, bodies.wrong))(draw, right)
    given = properties.others(draw) | {"correlation_id": properties.correlation(draw, "")}
    return (Message(REPLIES, f"reply.{draw.choice(AGENTS)}.@", body, properties=given),)


def commanding(draw: Draw, seed: int, number: int) -> tuple[Message, ...]:
    """Messages for the control exchange, almost right and completely wrong."""
    right: dict[str, object] = {"type": "cancel", "task_id": marker(number)}
    body = draw.choice((bodies.nearly, bodies.wrong))(draw, right)
    agent = draw.choice(AGENTS)
    key = draw.choice((cancel_key(agent), shutdown_key(agent), shutdown_key("all")))
    return (Message(CONTROL, key, body, properties=properties.others(draw)),)


def cancelled(draw: Draw, seed: int, number: int) -> tuple[Message, ...]:
    """Tasks that are cancelled before they come, while they run, or after; once or often."""
    agent, tasks, cancels = agent_of(seed, number), [], []
    for copy in range(draw.choice((1, 1, 3, 12, 40))):
        body = bodies.encoded(_task("wild", number) | {"id": f"{marker(number)}{copy}"})
        tasks.append(_asked(draw, agent, body, number, copy))
        order = bodies.encoded({"type": "cancel", "task_id": f"{marker(number)}{copy}"})
        cancels += [Message(CONTROL, cancel_key(agent), order)] * draw.choice((1, 2, 5))
    both = tasks + cancels
    draw.choice((lambda: None, both.reverse, lambda: draw.shuffle(both)))()
    return tuple(both)


KINDS: Mapping[Kind, int] = {
    honest: 12,
    wild: 30,
    nearly: 22,
    wrong: 12,
    unaddressed: 3,
    again: 8,
    swarmed: 5,
    replied: 4,
    commanding: 3,
    cancelled: 8,
}


def _task(how: str, number: int) -> dict[str, object]:
    return bodies.task(f"{how} {marker(number)}", marker(number))


def _wild(draw: Draw, number: int) -> dict[str, object]:
    """With or without an id of its own, sometimes in a session."""
    task = _task("wild", number) | {"type": draw.choice(("task", "task", "task", "trigger"))}
    if draw.random() < 0.3:
        del task["id"]
    if draw.random() < 0.2:
        task["session"] = f"talk-{draw.randrange(SESSIONS)}"
    return task


def _asked(draw: Draw, agent: str, body: bytes, number: int, copy: int = 0) -> Message:
    """An honest client's: a good address, and a correlation id of its own."""
    reply: Reply = draw.choice(("kept", "named", "direct"))
    call = properties.correlation(draw, f"{marker(number)}{copy}")
    return Message(TASKS, agent, body, reply, owed=True, properties={"correlation_id": call})


def _mail(draw: Draw, key: str, body: bytes, number: int) -> Message:
    given = properties.others(draw)
    given["correlation_id"] = properties.correlation(draw, marker(number))
    given["message_id"] = properties.message_id(draw, marker(number))
    replies: tuple[Reply, ...] = ("kept", "kept", "named", "direct", "none", "odd")
    reply = draw.choice(replies)
    if reply == "odd":
        given["reply_to"] = draw.choice(ODD_REPLIES)
    owed = reply in {"kept", "named", "direct"} and not properties.may_expire(given)
    return Message(TASKS, key, body, reply, owed, given)
