"""Every exchange and queue, as data. Names come from these functions and from nowhere else.

Written to be accepted by RabbitMQ 3.10 to 4.3: no transient shared queues, no global QoS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

ArgumentValue = str | int | bool
Arguments = dict[str, ArgumentValue]

TASKS = "hutch.tasks"
REPLIES = "hutch.replies"
CONTROL = "hutch.control"
EVENTS = "hutch.events"
DEAD = "hutch.dead"
UNROUTED = "hutch.unrouted"
DEFAULT_EXCHANGE = "amq.default"
"""What the broker calls the exchange without a name, where it speaks of who may use it."""
DIRECT_REPLY = "amq.rabbitmq.reply-to"
"""After it the broker puts the address of a client's channel: it delivers there without a queue."""
DEAD_QUEUE = "dead"
UNROUTED_QUEUE = "unrouted"
ALL = "all"
"""All agents, where a command or a routing key names one; no agent can have this name."""
SCHEDULER = "scheduler"
"""The scheduler, as a command, a routing key, a sender or a user of the broker; no agent's name."""

DELIVERY_LIMIT = 10
"""Redeliveries before the broker dead-letters: only a process that dies on the message itself,
before its claim, gets here. Attempts of claimed runs are counted in the store."""
MAILBOX_BYTES = 512 * 1024 * 1024
NO_DELIVERY_LIMIT = 1_000_000_000
"""RabbitMQ 4 drops after 20 redeliveries where nothing is said; at its -1, 3.10 drops at once."""
SWARM_LENGTH = 1000
SWARM_BYTES = 256 * 1024 * 1024
SWARM_TTL_MS = 24 * 3600 * 1000
SWARM_EXPIRES_MS = 7 * 24 * 3600 * 1000
REPLY_EXPIRES_MS = 30 * 60 * 1000
REPLY_BYTES = 128 * 1024 * 1024
"""Responses are read as they come; those to a process that hangs or is gone wait at their worker
once it is full. Of a command's, the oldest are forgotten: asked again, an agent sends the stored
one."""
CONTROL_BYTES = 1024 * 1024
"""Orders are short, and rows besides."""
CLIENT_BYTES = 64 * 1024 * 1024
"""In a queue that a foreign program has made to hear its answers."""
CLIENT_QUEUES = (
    r"amq\.gen-.+",
    r"amq_[0-9a-f]{32}",
    r"spring\.gen-.+",
    r"easynetq\.response\..+",
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
)
"""The names of such queues, whole: as the broker calls those that are declared without a name, as
aio-pika's robust client does, Spring AMQP's `AnonymousQueue`, EasyNetQ; a UUID, as with kombu."""
EVENTS_AGE = "7D"
EVENTS_BYTES = 1024 * 1024 * 1024
DEAD_BYTES = 1024 * 1024 * 1024


@dataclass(frozen=True)
class Exchange:
    name: str
    type: Literal["direct", "fanout", "topic"]
    arguments: Arguments = field(default_factory=dict)
    durable: bool = True
    auto_delete: bool = False


@dataclass(frozen=True)
class Queue:
    name: str
    arguments: Arguments = field(default_factory=dict)
    durable: bool = True
    exclusive: bool = False


@dataclass(frozen=True)
class Binding:
    exchange: str
    queue: str
    routing_key: str = ""


@dataclass(frozen=True)
class Policy:
    """What the broker adds to the arguments of the queues whose names match."""

    name: str
    pattern: str
    definition: Arguments


@dataclass(frozen=True)
class Topology:
    """What to declare, in this order: exchanges, queues, bindings."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()

    def __add__(self, other: Topology) -> Topology:
        return Topology(
            self.exchanges + other.exchanges,
            self.queues + other.queues,
            self.bindings + other.bindings,
        )


def mailbox_name(agent: str) -> str:
    return f"agent.{agent}"


def swarm_exchange_name(group: str) -> str:
    return f"hutch.swarm.{group}"


def swarm_queue_name(agent: str) -> str:
    return f"swarm.{agent}"


def reply_queue_name(agent: str, instance: str) -> str:
    return f"reply.{agent}.{instance}"


def control_queue_name(instance: str) -> str:
    """An instance's id begins with its role and a dot, which no role has in it: so the broker can
    keep what one role may touch from another's."""
    return f"control.{instance}"


def cancel_key(agent: str) -> str:
    return f"cancel.{agent}"


def shutdown_key(whom: str) -> str:
    """An agent's name, `scheduler` or `all`."""
    return f"shutdown.{whom}"


def control_keys(role: str) -> tuple[str, ...]:
    """What a process hears: `role` is an agent's name, or `scheduler`."""
    return shutdown_key(role), shutdown_key(ALL), cancel_key(role)


def client_events_name(client: str) -> str:
    return f"events.cli.{client}"


def store_exchange_name(agent: str) -> str:
    return f"hutch.store.{agent}"


def reply_address(reply_to: str) -> tuple[str, str]:
    """Exchange and routing key of a reply queue; the broker's own names need no exchange."""
    return (REPLIES if reply_to.startswith("reply.") else "", reply_to)


def quorum(name: str, **arguments: ArgumentValue) -> Queue:
    """A replicated queue whose dead letters reach `hutch.dead` at least once."""
    common: Arguments = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    return Queue(name, common | {f"x-{key.replace('_', '-')}": v for key, v in arguments.items()})


def system() -> Topology:
    """What every process needs and none owns: exchanges, dead letters, events, the unrouted."""
    return Topology(
        exchanges=(
            Exchange(UNROUTED, "fanout"),
            Exchange(DEAD, "topic"),
            Exchange(TASKS, "direct", {"alternate-exchange": UNROUTED}),
            Exchange(REPLIES, "direct"),
            Exchange(CONTROL, "topic"),
            Exchange(EVENTS, "topic"),
        ),
        queues=(
            Queue(
                DEAD_QUEUE,
                {
                    "x-queue-type": "quorum",
                    "x-max-length-bytes": DEAD_BYTES,
                    "x-overflow": "reject-publish",
                    "x-delivery-limit": NO_DELIVERY_LIMIT,  # each look at a letter is a delivery
                },
            ),
            quorum(UNROUTED_QUEUE, delivery_limit=DELIVERY_LIMIT, max_length_bytes=MAILBOX_BYTES),
            Queue(
                "events",
                {
                    "x-queue-type": "stream",
                    "x-max-age": EVENTS_AGE,
                    "x-max-length-bytes": EVENTS_BYTES,
                },
            ),
        ),
        bindings=(
            Binding(DEAD, DEAD_QUEUE, "#"),
            Binding(UNROUTED, UNROUTED_QUEUE),
            Binding(EVENTS, "events", "#"),
        ),
    )


def mailbox(agent: str) -> Topology:
    """Where tasks and triggers for an agent wait; its replicas compete for them."""
    name = mailbox_name(agent)
    queue = quorum(name, delivery_limit=DELIVERY_LIMIT, max_length_bytes=MAILBOX_BYTES)
    return Topology(queues=(queue,), bindings=(Binding(TASKS, name, agent),))


def swarm_exchange(group: str) -> Topology:
    return Topology(exchanges=(Exchange(swarm_exchange_name(group), "fanout"),))


def swarm(group: str, agent: str) -> Topology:
    """What an agent hears of its peers: bounded, the oldest is forgotten, nobody waits for it."""
    name = swarm_queue_name(agent)
    queue = Queue(
        name,
        {
            "x-queue-type": "quorum",
            "x-max-length": SWARM_LENGTH,
            "x-overflow": "drop-head",
            "x-message-ttl": SWARM_TTL_MS,
            "x-expires": SWARM_EXPIRES_MS,
            "x-delivery-limit": DELIVERY_LIMIT,
        },
    )
    return swarm_exchange(group) + Topology(
        queues=(queue,), bindings=(Binding(swarm_exchange_name(group), name),)
    )


def replies(agent: str, instance: str) -> Topology:
    """Where one process hears its workers; outlives a reconnect, expires after the process.

    Replicated: a classic queue dies with the broker's node that holds it, and its name with it.
    """
    name = reply_queue_name(agent, instance)
    queue = Queue(
        name,
        {
            "x-queue-type": "quorum",
            "x-expires": REPLY_EXPIRES_MS,
            "x-max-length-bytes": REPLY_BYTES,
            "x-overflow": "reject-publish",
            "x-delivery-limit": NO_DELIVERY_LIMIT,  # each reconnect is a redelivery
        },
    )
    return Topology(queues=(queue,), bindings=(Binding(REPLIES, name, name),))


def _passing(name: str, most_bytes: int) -> Queue:
    """Gone with its connection; too full, it forgets the oldest."""
    return Queue(name, {"x-max-length-bytes": most_bytes}, durable=False, exclusive=True)


def control(role: str, instance: str) -> Topology:
    """What one process hears while it is busy; gone with its connection.

    `role` is an agent's name, or `scheduler`.
    """
    name = control_queue_name(instance)
    return Topology(
        queues=(_passing(name, CONTROL_BYTES),),
        bindings=tuple(Binding(CONTROL, name, key) for key in control_keys(role)),
    )


def client(name: str) -> Topology:
    """What a command hears while it waits: its responses, and all events; gone with it.

    A reconnect can lose a response with its queue: asked again, the agent sends the stored one.
    """
    responses, events = reply_queue_name("cli", name), client_events_name(name)
    return Topology(
        queues=tuple(_passing(it, REPLY_BYTES) for it in (responses, events)),
        bindings=(Binding(REPLIES, responses, responses), Binding(EVENTS, events, "#")),
    )


def store_mark(agent: str, store_id: str, instance: str) -> Topology:
    """Lets the broker refuse a replica that brings another store.

    The broker compares an exchange's `alternate-exchange` when it is declared again: two
    replicas with different stores conflict at once, and with the last replica's control queue
    the exchange is gone. Nothing is ever published here.
    """
    name = store_exchange_name(agent)
    return Topology(
        exchanges=(
            Exchange(
                name,
                "direct",
                {"alternate-exchange": f"hutch.store.id.{store_id}"},
                durable=False,
                auto_delete=True,
            ),
        ),
        bindings=(Binding(name, control_queue_name(instance)),),
    )


POLICIES = (
    # Its arguments can't change: old processes and new ones declare the same queue.
    Policy("hutch-swarm", r"^swarm\.", {"max-length-bytes": SWARM_BYTES}),
    Policy("hutch-clients", f"^({'|'.join(CLIENT_QUEUES)})$", {"max-length-bytes": CLIENT_BYTES}),
)
