"""The broker's users and their permissions, as data: each user has only what it needs.

Patterns match whole names of exchanges (the default one is `amq.default`) and queues, and on a
topic exchange also routing keys. Without a topic permission, RabbitMQ allows a user every routing
key on a topic exchange: so each user has a topic permission for each topic exchange.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from shared.contract import topology as names
from shared.contract.access import OPERATOR, agent_user
from shared.contract.topology import ALL, GATEWAY, SCHEDULER
from shared.definitions.model import Definition, Definitions

CLIENT = "client"
"""The user of programs that publish tasks and receive responses in queues of their own."""
SCALER = "scaler"
"""The user that reads the lengths of queues, by passive declarations, which need no permission."""
ADMIN = "admin"
"""The user of the management page: it has no permissions in a vhost, but may grant itself any."""

Patterns = tuple[str, ...]

TOPICS = (names.CONTROL, names.DEAD, names.EVENTS, names.STREAM)

_INSTANCE = "[0-9a-f]{8}"
"""The end of an instance's id."""
_COMMAND = "[0-9a-f]{12}"
_STORE_ID = "[0-9a-f-]+"

MOST_PROCESSES = 50
"""The most processes of one agent. `k8s/overlays/production` scales to ten, a rollout doubles
them, and a broker counts a lost connection until its heartbeats have failed."""
CONNECTIONS_EACH = 4
"""The most connections of one process: to publish, to consume, for direct replies if there are any,
and for queues that confirm nothing if there are any."""
CHANNELS_EACH = 11
"""The most channels of one process: four to publish, one for direct replies, five to consume, one
to declare."""
MOST_COMMANDS = 20
MOST_GATEWAYS = 20
"""Twice what `k8s/overlays/production` scales to, for a rollout."""
MOST_CLIENTS = 100
"""The most connections of foreign programs, with as many channels as a process of Hutch."""
MOST_ADMINS = 10
"""The most connections of the management page: some of its actions open one."""


@dataclass(frozen=True)
class Topic:
    """The routing keys with which a user may publish and bind on one topic exchange."""

    write: Patterns = ()
    read: Patterns = ()


@dataclass(frozen=True)
class User:
    name: str
    connections: int
    channels: int
    configure: Patterns = ()
    write: Patterns = ()
    read: Patterns = ()
    topics: Mapping[str, Topic] = field(default_factory=dict)
    tags: tuple[str, ...] = ()

    def topic(self, exchange: str) -> Topic:
        return self.topics.get(exchange, Topic())


def whole(patterns: Iterable[str]) -> str:
    """One regular expression for all patterns; if there are none, one that matches no name."""
    found = "|".join(patterns)
    return f"^({found})$" if found else "^$"


def users(agents: Definitions) -> tuple[User, ...]:
    """All users of the broker for these agents."""
    scalers = 2 * len(agents)  # a connection for each agent, and two while it restarts
    return (
        *(_agent(agents[name]) for name in sorted(agents)),
        _scheduler(agents),
        _operator(agents),
        _gateway(agents),
        _client(),
        User(SCALER, scalers, scalers),
        User(ADMIN, MOST_ADMINS, MOST_ADMINS, tags=("administrator",)),
    )


def _agent(definition: Definition) -> User:
    name, group = definition.name, definition.swarm
    replies = _exactly(names.reply_queue_name(name, f"{name}."), _INSTANCE)
    control, mark = _control(name), _exactly(names.store_exchange_name(name))
    mailbox, swarm = _exactly(names.mailbox_name(name)), _exactly(names.swarm_queue_name(name))
    write = [replies, control, _exactly(names.store_exchange_name("id."), _STORE_ID)]
    shared = (names.REPLIES, names.DEAD, names.EVENTS, names.STREAM)
    write += [_exactly(exchange) for exchange in shared]
    read = [mailbox, replies, control, mark, _exactly(names.UNROUTED_QUEUE)]
    read += [_exactly(exchange) for exchange in (names.REPLIES, names.CONTROL)]
    dead_letters = [mailbox, replies, _exactly(names.UNROUTED_QUEUE)]
    if group:
        write.append(_exactly(names.swarm_exchange_name(group)))
        read += [swarm, _exactly(names.swarm_exchange_name(group))]
        dead_letters.append(swarm)
    if definition.workers:
        write += [_exactly(names.TASKS), _exactly(names.CONTROL)]
    if definition.foreign_clients:
        write.append(_exactly(names.DEFAULT_EXCHANGE))
    return User(
        agent_user(name),
        connections=CONNECTIONS_EACH * MOST_PROCESSES,
        channels=CHANNELS_EACH * MOST_PROCESSES,
        configure=(replies, control, mark),
        write=tuple(write),
        read=tuple(read),
        topics={
            names.CONTROL: Topic(
                write=tuple(
                    _exactly(names.cancel_key(worker.name)) for worker in definition.workers
                ),
                read=tuple(_exactly(key) for key in names.control_keys(name)),
            ),
            names.DEAD: Topic(write=tuple(dead_letters)),
            names.EVENTS: Topic(write=(_exactly(f"{name}.", ".+"),)),
            names.STREAM: Topic(write=(".+",)),  # a root's id, which its sender has chosen
        },
    )


def _scheduler(agents: Definitions) -> User:
    control = _control(SCHEDULER)
    waking = sorted(name for name, definition in agents.items() if definition.schedule)
    marks = [_exactly(names.store_exchange_name(agent)) for agent in waking]
    return User(
        SCHEDULER,
        connections=CONNECTIONS_EACH * MOST_PROCESSES,
        channels=CHANNELS_EACH * MOST_PROCESSES,
        configure=(control, *marks),
        write=(
            control,
            _exactly(names.TASKS),
            _exactly(names.store_exchange_name("id."), _STORE_ID),
        ),
        read=(control, _exactly(names.CONTROL), *marks),
        topics={
            names.CONTROL: Topic(read=tuple(_exactly(key) for key in names.control_keys(SCHEDULER)))
        },
    )


def _operator(agents: Definitions) -> User:
    """The user of commands. It needs the default exchange to replay a dead letter of one member of
    a swarm."""
    queues = (
        _exactly(names.reply_queue_name("cli", ""), _COMMAND),
        _exactly(names.client_events_name(""), _COMMAND),
        _exactly(names.client_stream_name(""), _COMMAND),
    )
    groups = sorted({one.swarm for one in agents.values() if one.swarm})
    roles = [*sorted(agents), SCHEDULER, GATEWAY, ALL]
    return User(
        OPERATOR,
        connections=CONNECTIONS_EACH * MOST_COMMANDS,
        channels=CHANNELS_EACH * MOST_COMMANDS,
        configure=queues,
        write=(
            *queues,
            _exactly(names.TASKS),
            _exactly(names.CONTROL),
            _exactly(names.DEFAULT_EXCHANGE),
            *(_exactly(names.swarm_exchange_name(group)) for group in groups),
        ),
        read=(
            *queues,
            _exactly(names.REPLIES),
            _exactly(names.EVENTS),
            _exactly(names.STREAM),
            _exactly(names.DEAD_QUEUE),
        ),
        topics={
            names.CONTROL: Topic(
                write=(
                    *(_exactly(names.cancel_key(agent)) for agent in sorted(agents)),
                    *(_exactly(names.shutdown_key(role)) for role in roles),
                )
            ),
            names.EVENTS: Topic(read=(".*",)),
            names.STREAM: Topic(read=(".*",)),
        },
    )


def _gateway(agents: Definitions) -> User:
    """The user of gateways: it may do what commands may, because it executes them for clients whose
    keys allow it, and has queues of its own."""
    operator, prefix = _operator(agents), f"{GATEWAY}."
    own = (
        _exactly(names.reply_queue_name(GATEWAY, prefix), _INSTANCE),
        _exactly(names.gateway_events_name(prefix), _INSTANCE),
        _exactly(names.gateway_texts_name(prefix), _INSTANCE),
        _control(GATEWAY),
    )
    control = operator.topic(names.CONTROL)
    heard = tuple(_exactly(key) for key in names.control_keys(GATEWAY))
    return replace(
        operator,
        name=GATEWAY,
        connections=CONNECTIONS_EACH * (MOST_GATEWAYS + MOST_COMMANDS),
        channels=CHANNELS_EACH * (MOST_GATEWAYS + MOST_COMMANDS),
        configure=(*operator.configure, *own),
        write=(*operator.write, *own),
        read=(*operator.read, *own, _exactly(names.CONTROL)),
        topics={**operator.topics, names.CONTROL: replace(control, read=heard)},
    )


def _client() -> User:
    own = names.CLIENT_QUEUES
    return User(
        CLIENT,
        connections=MOST_CLIENTS,
        channels=CHANNELS_EACH * MOST_CLIENTS,
        configure=own,
        write=(*own, _exactly(names.TASKS)),
        read=own,
    )


def _control(role: str) -> str:
    return _exactly(names.control_queue_name(f"{role}."), _INSTANCE)


def _exactly(name: str, rest: str = "") -> str:
    """A pattern for this name, followed by the pattern `rest`."""
    return re.escape(name) + rest
