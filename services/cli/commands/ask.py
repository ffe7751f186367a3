"""`hutch ask`: a task, and its response."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from services.cli import agents, client, output, task_tree
from services.cli.options import Context, ModelCalls, Session, Tokens
from shared.contract.messages import Event, Response, Status, Task, encode
from shared.settings.environment import Settings


def ask(
    agent: Annotated[str, typer.Argument(help="Who is asked.")],
    text: Annotated[str, typer.Argument(help="What to do.")],
    context: Context = None,
    id: Annotated[
        str | None, typer.Option(help="The task's id: asked again, it gets the same response.")
    ] = None,
    session: Session = None,
    model_calls: ModelCalls = None,
    tokens: Tokens = None,
    timeout: Annotated[str, typer.Option(help="How long it may take: 30s, 10m, 1h30m.")] = "10m",
    json: Annotated[bool, typer.Option("--json", help="Print the response as JSON only.")] = False,
) -> None:
    """Put an agent to work and wait for its response."""
    settings = Settings.from_environment()
    agents.check_agent(settings, agent)
    wait = agents.duration("--timeout", timeout)
    deadline = datetime.now(UTC) + wait
    budget = client.budget(model_calls, tokens)
    task = client.message(
        Task,
        id=id,
        content=text,
        context=context,
        deadline=deadline,
        session=session,
        budget=budget,
    )
    response = asyncio.run(_ask(settings, agent, task, wait.total_seconds(), quiet=json))
    output.say(encode(response).decode() if json else response.content)
    if budget and not json:
        output.remark(output.spent(budget, response.usage))
    if response.status is not Status.OK:
        if not json:
            output.remark(f"{response.agent or agent} has ended with: {response.status}")
        raise typer.Exit(1)


async def _ask(
    settings: Settings, agent: str, task: Task, wait_s: float, *, quiet: bool
) -> Response:
    family = task_tree.Family(agent, task.id or "")
    console = Console(stderr=True)
    live = console.is_terminal and not quiet

    def hear(event: Event) -> None:
        family.hear(event)
        said = task_tree.line(event)
        if said and not live and not quiet:
            output.remark(said)

    async with client.house(settings) as broker:
        if not await client.attended(broker, agent) and not quiet:
            output.remark(f"no process of '{agent}' takes tasks now: it waits until one does")
        asking = client.ask(broker, agent, task, wait_s, hear)
        if not live:
            return await asking
        with Live(get_renderable=family.tree, console=console):
            response = await asking
            family.end(response.status)
        return response
