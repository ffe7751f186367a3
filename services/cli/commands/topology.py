"""`hutch topology`: all exchanges, queues and users, for a broker that somebody else owns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer
from pydantic import JsonValue

from services.cli.deploy import passwords
from services.cli.deploy import users as everybody
from services.cli.deploy.users import TOPICS, User
from services.cli.deploy.users import whole as pattern
from shared.contract import topology as parts
from shared.contract.topology import POLICIES, Topology
from shared.definitions.loader import load
from shared.definitions.model import Definitions
from shared.errors import SettingsError
from shared.settings.environment import Settings

Parts = dict[str, list[dict[str, JsonValue]]]


def topology(
    users: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="A folder with a file for each user, made where it is missing: its address for "
            "RABBITMQ_URL_FILE, at the host and vhost of RABBITMQ_URL. The printed users then "
            "have these passwords.",
        ),
    ] = None,
) -> None:
    """Print RabbitMQ's definitions.json, for 'rabbitmqctl import_definitions'.

    It holds what outlives a process: each process declares its own reply and control queue.
    The vhost is that of RABBITMQ_URL, or /. Without --users nobody can log in as one of the users:
    they have no password, and importing that takes away one that they have. It is the whole, so a
    fault in any agent's file ends it: that agent's queue and user would be missing.
    """
    settings = Settings.from_environment()
    url = settings.given_broker()
    known = load(settings.agents)
    found = everybody.users(known)
    kept: dict[str, str] = {}
    if users is not None:
        if url is None:
            raise SettingsError(
                "--users needs RABBITMQ_URL: the host and vhost of the users' addresses"
            )
        kept = passwords.kept(users, [user.name for user in found], url)
    vhost = vhost_of(url or "")
    hashes = {user: passwords.hashed(user, password) for user, password in kept.items()}
    parts = exported_users(found, vhost, hashes) | exported(whole(known), vhost)
    typer.echo(json.dumps({"vhosts": [{"name": vhost}], **parts}, indent=2))


def whole(known: Definitions) -> Topology:
    """What all these agents share and need, each thing once."""
    found = parts.house()
    for name, definition in sorted(known.items()):
        found += parts.mailbox(name)
        if definition.swarm:
            found += parts.swarm(definition.swarm, name)
    exchanges = {exchange.name: exchange for exchange in found.exchanges}
    return parts.Topology(tuple(exchanges.values()), found.queues, found.bindings)


def vhost_of(url: str) -> str:
    return unquote(urlsplit(url).path.removeprefix("/")) or "/"


def exported_users(found: Sequence[User], vhost: str, hashes: Mapping[str, str]) -> Parts:
    """The users and what they may do, as RabbitMQ writes it."""
    return {
        "users": [
            {
                "name": it.name,
                "password_hash": hashes.get(it.name, ""),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": [*it.tags],
                "limits": {"max-connections": it.connections, "max-channels": it.channels},
            }
            for it in found
        ],
        "permissions": [
            {
                "user": it.name,
                "vhost": vhost,
                "configure": pattern(it.configure),
                "write": pattern(it.write),
                "read": pattern(it.read),
            }
            for it in found
            if not it.tags
        ],
        "topic_permissions": [
            {
                "user": it.name,
                "vhost": vhost,
                "exchange": exchange,
                "write": pattern(it.topic(exchange).write),
                "read": pattern(it.topic(exchange).read),
            }
            for it in found
            if not it.tags
            for exchange in TOPICS
        ],
    }


def exported(found: Topology, vhost: str) -> Parts:
    """Exchanges, queues, bindings and policies, as RabbitMQ writes them."""
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
