"""`hutch topology`: RabbitMQ's definitions file, for a broker that another team administers."""

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
            help="A folder with one file per user, which holds the user's address for "
            "RABBITMQ_URL_FILE, with the host and vhost of RABBITMQ_URL. Missing files are "
            "created with new passwords. The printed users have these passwords.",
        ),
    ] = None,
) -> None:
    """Print RabbitMQ's definitions.json, for 'rabbitmqctl import_definitions'.

    The output has everything except the reply and control queues, which each process declares
    itself. The vhost is that of RABBITMQ_URL, or /.

    Without --users the printed users have no password: no client can log in as one of them, and an
    import removes the passwords that they have.

    A fault in any agent's file ends the command, since that agent's queue and user would be
    missing.
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
