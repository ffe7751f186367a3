"""`hutch topology`: all exchanges and queues, for a broker that somebody else owns."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from pydantic import JsonValue

    from shared.definitions import Definitions
    from shared.topology import Topology


def topology() -> None:
    """Print RabbitMQ's definitions.json, for 'rabbitmqctl import_definitions'.

    It holds what outlives a process: each process declares its own reply and control queue.
    The vhost is that of RABBITMQ_URL, or /.
    """
    import json

    import typer

    from shared.definitions import load
    from shared.settings import Settings

    settings = Settings.from_environment()
    url = settings.given_broker() or ""
    typer.echo(json.dumps(exported(whole(load(settings.agents)), vhost_of(url)), indent=2))


def whole(known: Definitions) -> Topology:
    """What all these agents share and need, each thing once."""
    from shared import topology as parts

    found = parts.house()
    for name, definition in sorted(known.items()):
        found += parts.mailbox(name)
        if definition.swarm:
            found += parts.swarm(definition.swarm, name)
    exchanges = {exchange.name: exchange for exchange in found.exchanges}
    return parts.Topology(tuple(exchanges.values()), found.queues, found.bindings)


def vhost_of(url: str) -> str:
    return unquote(urlsplit(url).path.removeprefix("/")) or "/"


def exported(found: Topology, vhost: str) -> dict[str, list[dict[str, JsonValue]]]:
    """As RabbitMQ writes it."""
    return {
        "vhosts": [{"name": vhost}],
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
