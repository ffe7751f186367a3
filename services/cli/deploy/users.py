"""The broker's users, and what each may do there, as data: everybody the least that works.

Patterns match whole names: exchanges by theirs (the default one is `amq.default`), queues by
theirs, and on a topic exchange also routing keys. A topic exchange on which a user has no topic
permission would be open to it: so everybody has one for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from shared.contract import topology as names
from shared.contract.access import OPERATOR, SCHEDULER, agent_user
from shared.definitions.model import Definition, Definitions

CLIENT = "client"
"""Programs that publish tasks and hear answers in queues of their own."""
SCALER = "scaler"
"""Reads how long queues are, by passive declarations, which need no right at all."""
ADMIN = "admin"
"""The management page; it has no right to use a vhost, and may give itself any."""

Patterns = tuple[str, ...]

TOPICS = (names.CONTROL, names.DEAD, names.EVENTS)

_INSTANCE = "[0-9a-f]{8}"
"""How an instance's id ends."""
_VISITOR = "[0-9a-f]{12}"
_STORE_ID = "[0-9a-f-]+"

MOST_PROCESSES = 50
"""Of one agent. Ten are what `k8s/overlays/production` scales to, a rollout doubles them, and a
broker counts lost connections on until their heartbeats have failed."""
CONNECTIONS_EACH = 3
"""Publishing, consuming, and direct replies where there are any."""
CHANNELS_EACH = 10
"""Publishing 3, direct replies 1, consuming 5, declaring 1."""
MOST_COMMANDS = 20
MOST_CLIENTS = 100
"""Connections of foreign programs; each may bring as many channels as a process of ours."""
MOST_ADMINS = 10
"""The management page opens one for some of what it does."""


@dataclass(frozen=True)
class Topic:
    """Routing keys that a user may publish with, and bind, on one topic exchange."""

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
    """The one regular expression for any of these; for none, one that no name matches."""
    found = "|".join(patterns)
    return f"^({found})$" if found else "^$"


def users(known: Definitions) -> tuple[User, ...]:
    """Everybody who is needed to run these agents."""
    agents = tuple(_agent(known[name]) for name in sorted(known))
    scalers = 2 * len(known)  # a connection for each agent, twice while it restarts
    return (
        *agents,
        _scheduler(known),
        _operator(known),
        _client(),
        User(SCALER, scalers, scalers),
        User(ADMIN, MOST_ADMINS, MOST_ADMINS, tags=("administrator",)),
    )


def _agent(definition: Definition) -> User:
    name, group = definition.name, definition.swarm
    replies = _of(names.reply_queue_name(name, f"{name}."), _INSTANCE)
    control, mark = _control(name), _of(names.store_exchange_name(name))
    mailbox, swarm = _of(names.mailbox_name(name)), _of(names.swarm_queue_name(name))
    write = [replies, control, _of(names.store_exchange_name("id."), _STORE_ID)]
    write += [_of(exchange) for exchange in (names.REPLIES, names.DEAD, names.EVENTS)]
    read = [mailbox, replies, control, mark, _of(names.UNROUTED_QUEUE)]
    read += [_of(exchange) for exchange in (names.REPLIES, names.CONTROL)]
    letters = [mailbox, replies, _of(names.UNROUTED_QUEUE)]
    if group:
        write.append(_of(names.swarm_exchange_name(group)))
        read += [swarm, _of(names.swarm_exchange_name(group))]
        letters.append(swarm)
    if definition.workers:
        write += [_of(names.TASKS), _of(names.CONTROL)]
    if definition.foreign_clients:
        write.append(_of(names.DEFAULT_EXCHANGE))
    return User(
        agent_user(name),
        connections=CONNECTIONS_EACH * MOST_PROCESSES,
        channels=CHANNELS_EACH * MOST_PROCESSES,
        configure=(replies, control, mark),
        write=tuple(write),
        read=tuple(read),
        topics={
            names.CONTROL: Topic(
                write=tuple(_of(names.cancel_key(worker)) for worker in definition.workers),
                read=tuple(_of(key) for key in names.control_keys(name)),
            ),
            names.DEAD: Topic(write=tuple(letters)),
            names.EVENTS: Topic(write=(_of(f"{name}.", ".+"),)),
        },
    )


def _scheduler(known: Definitions) -> User:
    control = _control(SCHEDULER)
    waking = sorted(name for name, definition in known.items() if definition.schedule)
    marks = [_of(names.store_exchange_name(agent)) for agent in waking]
    return User(
        SCHEDULER,
        connections=CONNECTIONS_EACH * MOST_PROCESSES,
        channels=CHANNELS_EACH * MOST_PROCESSES,
        configure=(control, *marks),
        write=(control, _of(names.TASKS), _of(names.store_exchange_name("id."), _STORE_ID)),
        read=(control, _of(names.CONTROL), *marks),
        topics={
            names.CONTROL: Topic(read=tuple(_of(key) for key in names.control_keys(SCHEDULER)))
        },
    )


def _operator(known: Definitions) -> User:
    """The default exchange is for replaying what one member of a swarm could not take."""
    queues = (
        _of(names.reply_queue_name("cli", ""), _VISITOR),
        _of(names.visitor_events_name(""), _VISITOR),
    )
    groups = sorted({one.swarm for one in known.values() if one.swarm})
    orders = [*sorted(known), SCHEDULER, "all"]
    return User(
        OPERATOR,
        connections=CONNECTIONS_EACH * MOST_COMMANDS,
        channels=CHANNELS_EACH * MOST_COMMANDS,
        configure=queues,
        write=(
            *queues,
            _of(names.TASKS),
            _of(names.CONTROL),
            _of(names.DEFAULT_EXCHANGE),
            *(_of(names.swarm_exchange_name(group)) for group in groups),
        ),
        read=(*queues, _of(names.REPLIES), _of(names.EVENTS), _of(names.DEAD_QUEUE)),
        topics={
            names.CONTROL: Topic(
                write=(
                    *(_of(names.cancel_key(agent)) for agent in sorted(known)),
                    *(_of(names.shutdown_key(whom)) for whom in orders),
                )
            ),
            names.EVENTS: Topic(read=(".*",)),
        },
    )


def _client() -> User:
    own = names.CLIENT_QUEUES
    return User(
        CLIENT,
        connections=MOST_CLIENTS,
        channels=CHANNELS_EACH * MOST_CLIENTS,
        configure=own,
        write=(*own, _of(names.TASKS)),
        read=own,
    )


def _control(role: str) -> str:
    return _of(names.control_queue_name(f"{role}."), _INSTANCE)


def _of(name: str, rest: str = "") -> str:
    """This very name, and after it what `rest` matches."""
    return re.escape(name) + rest
