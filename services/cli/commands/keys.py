"""`hutch keys`: make, list and revoke the keys of the gateway's clients."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer
from pydantic_core import to_json

from services.cli import agents, output
from services.cli.agents import known_names
from services.cli.options import Json
from services.cli.store import opened_store
from shared.errors import HutchError, SettingsError
from shared.settings.environment import Settings
from shared.store import Store
from shared.store.processes import api_keys, audit
from shared.store.processes.api_keys import ApiKey, Scope

NAME_CHARS = 80
COLUMNS = ["name", "scope", "agents", "created", "revoked", "id"]
COMMAND = "hutch keys"
"""In the audit table, where a client of the gateway has the name of its key."""

keys = typer.Typer(
    name="keys",
    no_args_is_help=True,
    add_completion=False,
    help="Make, list and revoke the keys of the gateway's clients.",
)


@keys.command()
def add(
    name: Annotated[str, typer.Argument(help="Who or what will use the key.")],
    scope: Annotated[
        Scope,
        typer.Option(
            help="'read' sees runs, 'run' also gives and cancels tasks, 'operate' may do all."
        ),
    ] = Scope.RUN,
    agent: Annotated[
        list[str] | None,
        typer.Option(
            help="Only for this agent; repeat it for more. Without it: for all.",
            autocompletion=known_names,
        ),
    ] = None,
) -> None:
    """Make a key and print it; it is not stored, so it is shown only now."""
    settings = Settings.from_environment()
    if not name.strip() or len(name) > NAME_CHARS or not name.isprintable():
        raise SettingsError(f"a key's name has 1 to {NAME_CHARS} characters, in one line")
    for each in agent or []:
        agents.check_agent(settings, each)
    key = api_keys.generate()
    asyncio.run(_add(settings, key, name, scope, agent or []))
    of = ", ".join(agent or []) or "all agents"
    output.remark(f"the key '{name}', scope {scope}, for {of}: it is shown only now")
    output.say(key)


async def _add(settings: Settings, key: str, name: str, scope: Scope, of: Sequence[str]) -> None:
    async with opened_store(settings) as store:
        await store.write("", partial(api_keys.add, key=key, name=name, scope=scope, agents=of))
        await _record(store, "key.add", name, f"{scope}: {', '.join(of) or 'all agents'}")


async def _record(store: Store, action: str, name: str, detail: str = "") -> None:
    await store.write("", lambda db: audit.record(db, "", COMMAND, action, name, detail))


@keys.command("list")
def list_(json: Json = False) -> None:
    """List keys, the oldest first, without their secrets."""
    found = asyncio.run(_every(Settings.from_environment()))
    if json:
        output.say(to_json([_fields(key) for key in found]).decode())
    elif found:
        output.show_table(COLUMNS, [_cells(key) for key in found])
    else:
        output.say("no keys: 'hutch keys add NAME' makes one")


async def _every(settings: Settings) -> Sequence[ApiKey]:
    async with opened_store(settings) as store:
        return await store.read(api_keys.every)


@keys.command()
def revoke(name: Annotated[str, typer.Argument(help="The key's name or id.")]) -> None:
    """Revoke a key: within seconds every gateway refuses it and ends its streams."""
    if not asyncio.run(_revoke(Settings.from_environment(), name)):
        raise HutchError(f"there is no key '{name}': 'hutch keys list' has all")
    output.say(f"the key '{name}' is revoked")


async def _revoke(settings: Settings, name: str) -> bool:
    async with opened_store(settings) as store:
        found = await store.write("", partial(api_keys.revoke, name=name))
        if found:
            await _record(store, "key.revoke", name)
        return found


def _cells(key: ApiKey) -> list[str]:
    return [
        key.name,
        key.scope,
        ", ".join(sorted(key.agents)) if key.agents else "all",
        output.list_time(key.created_at),
        output.list_time(key.revoked_at) if key.revoked_at else "",
        key.key_id,
    ]


def _fields(key: ApiKey) -> dict[str, object]:
    return {name: value for name, value in vars(key).items() if name != "hash"}
