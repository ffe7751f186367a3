"""`hutch ask`: give an agent a task and print its response."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live

from services.cli import agents, options, output, task_tree
from services.cli.agents import known_names
from services.cli.broker import opened_broker
from services.cli.options import Context, Cost, ModelCalls, Priority, Session, Tokens
from shared.client.ask import ask as ask_agent
from shared.client.ask import has_consumers
from shared.client.run_text import RunText
from shared.contract.messages import Event, Response, Status, Task, encode, run_id
from shared.settings.environment import Settings

REFRESHES = 12
"""A second; text that comes less often than that looks as if it were stuck."""


def ask(
    agent: Annotated[str, typer.Argument(help="The agent's name.", autocompletion=known_names)],
    text: Annotated[str, typer.Argument(help="What to do.")],
    context: Context = None,
    id: Annotated[
        str | None, typer.Option(help="The task's id: the same id gets the same response again.")
    ] = None,
    session: Session = None,
    model_calls: ModelCalls = None,
    tokens: Tokens = None,
    cost: Cost = None,
    priority: Priority = None,
    timeout: Annotated[str, typer.Option(help="The task's deadline: 30s, 10m, 1h30m.")] = "10m",
    json: Annotated[bool, typer.Option("--json", help="Print the response as JSON only.")] = False,
) -> None:
    """Give an agent a task and wait for its response."""
    settings = Settings.from_environment()
    agents.check_agent(settings, agent)
    wait = options.duration("--timeout", timeout)
    budget = options.budget(model_calls, tokens, cost)
    console = Console(stderr=True)
    live = console.is_terminal and not json
    task = options.message(
        Task,
        id=id,
        content=text,
        context=context,
        deadline=datetime.now(UTC) + wait,
        session=session,
        budget=budget,
        priority=priority,
        stream=live and sys.stdout.isatty(),
    )
    asking = _ask(settings, agent, task, wait.total_seconds(), console if live else None, json)
    response = asyncio.run(asking)
    output.say(encode(response).decode() if json else response.content)
    if budget and not json:
        output.remark(output.spent(budget, response.usage))
    if response.status is not Status.OK:
        if not json:
            output.remark(f"{response.agent or agent} has ended with: {response.status}")
        raise typer.Exit(1)


async def _ask(
    settings: Settings,
    agent: str,
    task: Task,
    wait_s: float,
    console: Console | None,
    quiet: bool,
) -> Response:
    """The response. On a terminal, `console`, the runs and the text are shown while they come."""
    tree = task_tree.TaskTree(agent, task.id or "")
    text = RunText(run_id(agent, task.id or ""))

    def on_event(event: Event) -> None:
        tree.add(event)
        line = task_tree.line(event)
        if line and not console and not quiet:
            output.remark(line)

    async with opened_broker(settings) as broker:
        if not await has_consumers(broker, agent) and not quiet:
            output.remark(f"no process of '{agent}' takes tasks now: it waits until one does")
        asking = ask_agent(broker, agent, task, wait_s, on_event, text.add)
        if console is None:
            return await asking
        with Live(
            get_renderable=lambda: Group(tree.drawn(), output.tail(console, text.turns.values())),
            console=console,
            refresh_per_second=REFRESHES,
        ):
            response = await asking
            tree.end(response.status)
            text.clear()  # the whole answer is printed on stdout
        return response
