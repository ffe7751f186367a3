"""Every exchange and queue, as data. All names are made by these functions.

RabbitMQ 3.10 to 4.3 accept them: there are no transient shared queues and no global QoS.
"""

from __future__ import annotations

from collections.abc import Collection

from shared.contract.entities import (
    Arguments,
    ArgumentValue,
    Binding,
    Exchange,
    Policy,
    Queue,
    Topology,
)

TASKS = "hutch.tasks"
REPLIES = "hutch.replies"
CONTROL = "hutch.control"
EVENTS = "hutch.events"
STREAM = "hutch.stream"
"""The texts of runs as their models write them; the routing key is the root's id."""
DEAD = "hutch.dead"
UNROUTED = "hutch.unrouted"
DEFAULT_EXCHANGE = "amq.default"
"""The broker's name, in permissions, for the exchange without a name."""
DIRECT_REPLY = "amq.rabbitmq.reply-to"
"""The broker appends the address of a client's channel, to which it delivers without a queue."""
DEAD_QUEUE = "dead"
UNROUTED_QUEUE = "unrouted"
ALL = "all"
"""All agents, where a command or a routing key names one; no agent can have this name."""
SCHEDULER = "scheduler"
"""The scheduler, as a command, a routing key, a sender or a user of the broker; no agent's name."""
GATEWAY = "gateway"
"""The gateway, in the same places; no agent's name."""

DELIVERY_LIMIT = 10
"""Redeliveries after which the broker dead-letters a message. Only a message whose processes die
before its claim gets so many; the attempts of claimed runs are counted in the store."""
MAILBOX_BYTES = 512 * 1024 * 1024
NO_DELIVERY_LIMIT = 1_000_000_000
"""Without a limit RabbitMQ 4 drops after 20 redeliveries; with -1 for none, 3.10 drops at once."""
SWARM_LENGTH = 1000
SWARM_BYTES = 256 * 1024 * 1024
SWARM_TTL_MS = 24 * 3600 * 1000
SWARM_EXPIRES_MS = 7 * 24 * 3600 * 1000
REPLY_EXPIRES_MS = 30 * 60 * 1000
REPLY_BYTES = 128 * 1024 * 1024
"""Responses are read as they arrive. If a process hangs or is gone and its queue is full, further
responses wait in the worker's outbox. A command's queue drops the oldest response: when the task is
sent again, the agent sends the stored one."""
CONTROL_BYTES = 1024 * 1024
"""Control messages are short, and those for agents are also rows in the store."""
CLIENT_BYTES = 64 * 1024 * 1024
"""The limit of a queue that a foreign client has declared for its responses."""
CLIENT_QUEUES = (
    r"amq\.gen-.+",
    r"amq_[0-9a-f]{32}",
    r"spring\.gen-.+",
    r"easynetq\.response\..+",
    r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
)
"""Patterns of the whole names of such queues. The broker makes the first kind, for queues declared
without a name; aio-pika's robust client, Spring AMQP's `AnonymousQueue` and EasyNetQ make the
next ones, and kombu uses a UUID."""
STREAM_BYTES = 16 * 1024 * 1024
"""The limit of a client's queue of texts; a client that doesn't read loses the oldest parts."""
EVENTS_AGE = "7D"
EVENTS_BYTES = 1024 * 1024 * 1024
DEAD_BYTES = 1024 * 1024 * 1024


def mailbox_name(agent: str) -> str:
    return f"agent.{agent}"


def swarm_exchange_name(group: str) -> str:
    return f"hutch.swarm.{group}"


def swarm_queue_name(agent: str) -> str:
    return f"swarm.{agent}"


def reply_queue_name(agent: str, instance: str) -> str:
    return f"reply.{agent}.{instance}"


def control_queue_name(instance: str) -> str:
    """An instance's id begins with its role and a dot, which no role contains, so a permission by
    prefix never covers another role's queue."""
    return f"control.{instance}"


def cancel_key(agent: str) -> str:
    return f"cancel.{agent}"


def shutdown_key(role: str) -> str:
    """`role` is an agent's name, `SCHEDULER`, `GATEWAY` or `ALL`."""
    return f"shutdown.{role}"


def control_keys(role: str) -> tuple[str, ...]:
    """The keys of the control messages for a process of this role, see `control`."""
    return shutdown_key(role), shutdown_key(ALL), cancel_key(role)


def client_events_name(client: str) -> str:
    return f"events.cli.{client}"


def client_stream_name(client: str) -> str:
    return f"stream.cli.{client}"


def gateway_events_name(instance: str) -> str:
    """A gateway's instance begins with `GATEWAY` and a dot."""
    return f"events.{instance}"


def gateway_texts_name(instance: str) -> str:
    return f"stream.{instance}"


def store_exchange_name(agent: str) -> str:
    return f"hutch.store.{agent}"


def reply_address(reply_to: str) -> tuple[str, str]:
    """Exchange and routing key of a reply queue; a name that the broker chose needs no exchange."""
    return (REPLIES if reply_to.startswith("reply.") else "", reply_to)


def quorum(name: str, **arguments: ArgumentValue) -> Queue:
    """A replicated queue; each of its dead letters reaches `hutch.dead` at least once."""
    common: Arguments = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }
    return Queue(name, common | {f"x-{key.replace('_', '-')}": v for key, v in arguments.items()})


def system() -> Topology:
    """The exchanges and the queues that all processes share: `dead`, `unrouted` and `events`."""
    return Topology(
        exchanges=(
            Exchange(UNROUTED, "fanout"),
            Exchange(DEAD, "topic"),
            Exchange(TASKS, "direct", {"alternate-exchange": UNROUTED}),
            Exchange(REPLIES, "direct"),
            Exchange(CONTROL, "topic"),
            Exchange(EVENTS, "topic"),
            Exchange(STREAM, "topic"),
        ),
        queues=(
            Queue(
                DEAD_QUEUE,
                {
                    "x-queue-type": "quorum",
                    "x-max-length-bytes": DEAD_BYTES,
                    "x-overflow": "reject-publish",
                    "x-delivery-limit": NO_DELIVERY_LIMIT,  # to read a dead letter is a delivery
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
    """The queue of an agent's tasks and triggers, which its replicas share."""
    name = mailbox_name(agent)
    queue = quorum(name, delivery_limit=DELIVERY_LIMIT, max_length_bytes=MAILBOX_BYTES)
    return Topology(queues=(queue,), bindings=(Binding(TASKS, name, agent),))


def swarm_exchange(group: str) -> Topology:
    return Topology(exchanges=(Exchange(swarm_exchange_name(group), "fanout"),))


def swarm(group: str, agent: str) -> Topology:
    """The queue of the broadcasts of an agent's peers; it is bounded and drops the oldest."""
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
    """The queue of the responses to one process; it outlives a reconnect, and expires later.

    It is replicated: a classic queue can be neither used nor declared while its node is down.
    A lost response is asked for again.
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
        replaceable=True,
    )
    return Topology(queues=(queue,), bindings=(Binding(REPLIES, name, name),))


def _transient(name: str, most_bytes: int) -> Queue:
    """A queue that ends with its connection; a full one drops the oldest message."""
    return Queue(name, {"x-max-length-bytes": most_bytes}, durable=False, exclusive=True)


def control(role: str, instance: str) -> Topology:
    """The control queue of one process, which ends with its connection.

    `role` is an agent's name, `SCHEDULER` or `GATEWAY`.
    """
    name = control_queue_name(instance)
    return Topology(
        queues=(_transient(name, CONTROL_BYTES),),
        bindings=tuple(Binding(CONTROL, name, key) for key in control_keys(role)),
    )


def client(name: str) -> Topology:
    """The queues of a client that waits, such as a command: for its responses and for all events.

    They end with its connection, so a reconnect can lose a response; when the task is sent again,
    the agent sends the stored response.
    """
    responses = reply_queue_name("cli", name)
    return Topology(
        queues=(_transient(responses, REPLY_BYTES),),
        bindings=(Binding(REPLIES, responses, responses),),
    ) + client_events(name)


def client_events(name: str, agents: Collection[str] = ()) -> Topology:
    """The queue of a client for the events of these agents, or of all; it ends with its
    connection."""
    queue = client_events_name(name)
    return Topology(
        queues=(_transient(queue, REPLY_BYTES),),
        bindings=tuple(
            Binding(EVENTS, queue, key) for key in [f"{agent}.#" for agent in agents] or ["#"]
        ),
    )


def client_stream(name: str, root_id: str) -> Topology:
    """The queue of a client for the text of its task's run; it ends with its connection.

    A root's id can contain `*` and `#`, which match other ids too: the run's id tells them apart.
    """
    queue = client_stream_name(name)
    return Topology(
        queues=(_transient(queue, STREAM_BYTES),), bindings=(Binding(STREAM, queue, root_id),)
    )


def gateway(instance: str) -> Topology:
    """The queues of one gateway: for the responses to its clients, for all events, and for texts.

    The last one is bound to `STREAM` by the ids of those roots whose runs a client follows.
    """
    events, texts = gateway_events_name(instance), gateway_texts_name(instance)
    return replies(GATEWAY, instance) + Topology(
        queues=(_transient(events, REPLY_BYTES), _transient(texts, STREAM_BYTES)),
        bindings=(Binding(EVENTS, events, "#"),),
    )


def store_mark(agent: str, store_id: str, instance: str) -> Topology:
    """An exchange through which the broker refuses a replica that has another store.

    When an exchange is declared again, the broker compares its `alternate-exchange`. So the second
    of two replicas with different stores is refused at once. The exchange is deleted with the last
    replica's control queue. Nothing is ever published to it.
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
    # A queue's arguments can't change: old and new versions declare the same queue.
    Policy("hutch-swarm", r"^swarm\.", {"max-length-bytes": SWARM_BYTES}),
    Policy("hutch-clients", f"^({'|'.join(CLIENT_QUEUES)})$", {"max-length-bytes": CLIENT_BYTES}),
)
