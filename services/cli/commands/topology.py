"""`hutch topology`: RabbitMQ's definitions file, for a broker that others administer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from services.cli.deploy import definitions_export, passwords
from services.cli.deploy import users as broker_users
from shared.definitions.loader import load
from shared.errors import SettingsError
from shared.settings.environment import Settings


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
    agents = load(settings.agents)
    found = broker_users.users(agents)
    hashes: dict[str, str] = {}
    if users is not None:
        if url is None:
            raise SettingsError(
                "--users needs RABBITMQ_URL: the host and vhost of the users' addresses"
            )
        kept = passwords.kept(users, [user.name for user in found], url)
        hashes = {user: passwords.hashed(user, password) for user, password in kept.items()}
    exported = definitions_export.exported(agents, found, hashes, url or "")
    typer.echo(json.dumps(exported, indent=2))
