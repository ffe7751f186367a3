"""RabbitMQ's definitions file: vhost, users, policies, exchanges, queues and bindings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import unquote, urlsplit

from pydantic import JsonValue

from services.cli.deploy.users import TOPICS, User, whole
from shared.contract import topology
from shared.contract.entities import Topology
from shared.contract.topology import POLICIES
from shared.definitions.model import Definitions

Parts = dict[str, list[dict[str, JsonValue]]]


def exported(
    agents: Definitions, users: Sequence[User], hashes: Mapping[str, str], url: str
) -> Parts:
    """The definitions for these agents and users, in the vhost of `url`.

    `hashes` are the users' password hashes, by user; a user without one can't log in.
    """
    vhost = unquote(urlsplit(url).path.removeprefix("/")) or "/"
    return {
        "vhosts": [{"name": vhost}],
        **_users(users, vhost, hashes),
        **_topology(_whole(agents), vhost),
    }


def _whole(agents: Definitions) -> Topology:
    """The shared topology and that of each agent, with each exchange once."""
    found = topology.system()
    for name, definition in sorted(agents.items()):
        found += topology.mailbox(name)
        if definition.swarm:
            found += topology.swarm(definition.swarm, name)
    exchanges = {exchange.name: exchange for exchange in found.exchanges}
    return Topology(tuple(exchanges.values()), found.queues, found.bindings)


def _users(users: Sequence[User], vhost: str, hashes: Mapping[str, str]) -> Parts:
    return {
        "users": [
            {
                "name": it.name,
                "password_hash": hashes.get(it.name, ""),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": [*it.tags],
                "limits": {"max-connections": it.connections, "max-channels": it.channels},
            }
            for it in users
        ],
        "permissions": [
            {
                "user": it.name,
                "vhost": vhost,
                "configure": whole(it.configure),
                "write": whole(it.write),
                "read": whole(it.read),
            }
            for it in users
            if not it.tags
        ],
        "topic_permissions": [
            {
                "user": it.name,
                "vhost": vhost,
                "exchange": exchange,
                "write": whole(it.topic(exchange).write),
                "read": whole(it.topic(exchange).read),
            }
            for it in users
            if not it.tags
            for exchange in TOPICS
        ],
    }


def _topology(found: Topology, vhost: str) -> Parts:
    return {
        "policies": [
            {
                "name": it.name,
                "vhost": vhost,
                "pattern": it.pattern,
                "apply-to": "queues",
                "definition": {**it.definition},
                "priority": 0,
            }
            for it in POLICIES
        ],
        "exchanges": [
            {
                "name": it.name,
                "vhost": vhost,
                "type": it.type,
                "durable": it.durable,
                "auto_delete": it.auto_delete,
                "internal": False,
                "arguments": {**it.arguments},
            }
            for it in found.exchanges
        ],
        "queues": [
            {
                "name": it.name,
                "vhost": vhost,
                "durable": it.durable,
                "auto_delete": False,
                "arguments": {**it.arguments},
            }
            for it in found.queues
        ],
        "bindings": [
            {
                "source": it.exchange,
                "vhost": vhost,
                "destination": it.queue,
                "destination_type": "queue",
                "routing_key": it.routing_key,
                "arguments": {},
            }
            for it in found.bindings
        ],
    }
