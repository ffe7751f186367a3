"""`hutch ask`: give an agent a task and print its response.

The store is imported only if there is no response, or the task waits, see `receiver`.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live

from services.cli import agents, options, output, receiver, task_tree
from services.cli.agents import known_names
from services.cli.answer import detail_of, print_answer
from services.cli.broker import opened_broker
from services.cli.options import Context, Cost, ModelCalls, Priority, Session, TaskText, Tokens
from shared.broker.connection import Broker
from shared.client.ask import NoResponse
from shared.client.ask import ask as ask_agent
from shared.client.run_text import RunText
from shared.contract.messages import Event, Response, Task, run_id
from shared.errors import HutchError
from shared.settings.environment import Settings

REFRESHES = 12
"""A second; text that comes less often than that looks as if it were stuck."""

INTERRUPTED = 130

STORE_AFTER_S = 2.0
"""After so long without an event of the task, the store is tried."""


def ask(
    agent: Annotated[str, typer.Argument(help="The agent's name.", autocompletion=known_names)],
    text: TaskText,
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
    agents.check_name(agent)
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
    asking = _Asking(settings, agent, task, wait.total_seconds(), console if live else None, json)
    try:
        response, detail = asyncio.run(asking.answer())
    except KeyboardInterrupt:
        asking.interrupted()
        raise typer.Exit(INTERRUPTED) from None
    print_answer(agent, response, detail, budget, json=json)


@dataclass
class _Asking:
    """One task whose response is waited for.

    On a terminal, `console`, the runs and the text are shown while they come.
    """

    settings: Settings
    agent: str
    task: Task
    wait_s: float
    console: Console | None
    quiet: bool
    sent: bool = False
    begun: bool = False
    """An event of the task has come."""

    def __post_init__(self) -> None:
        self.id = self.task.id or ""
        self.tree = task_tree.TaskTree(self.agent, self.id)
        self.text = RunText(run_id(self.agent, self.id))

    async def answer(self) -> tuple[Response, str | None]:
        """The response, and what the store says about its end, see `answer.detail_of`."""
        async with opened_broker(self.settings) as broker:
            await receiver.check_receiver(self.settings, broker, self.agent)
            reason = None if self.quiet else await self._obstacle(broker)
            if reason:
                output.remark(f"{reason}; the task waits")
            checking = asyncio.create_task(self._check_store(reason or ""))
            try:
                response = await self._response(broker)
            except NoResponse as error:
                await self._record()
                if waiting := self.tree.approvals:
                    decide = ", ".join(f"'hutch approve {it}'" for it in waiting)
                    raise HutchError(
                        f"{error}: it waits for a person's decision, see 'hutch approvals' and "
                        f"{decide}; 'hutch wait {self.id}' waits for the response"
                    ) from error
                reason = await self._obstacle(broker)
                because = f": {reason}" if reason else ""
                raise HutchError(
                    f"{error}{because}; 'hutch show {self.id}' says what became of it"
                ) from error
            finally:
                checking.cancel()
                await asyncio.gather(checking, return_exceptions=True)
        return response, await detail_of(self.settings, self.agent, response)

    async def _obstacle(self, broker: Broker) -> str | None:
        return await receiver.obstacle(self.settings, broker, self.agent)

    async def _check_store(self, said: str) -> None:
        """Say that no agent can take the task because the store is away or locked, unless it was
        `said` before."""
        await asyncio.sleep(STORE_AFTER_S)
        if self.begun or self.quiet:
            return
        from shared.client.system.store_fault import write_fault

        if (fault := await write_fault(self.settings)) and fault not in said:
            output.remark(f"the task waits: {fault}")

    async def _response(self, broker: Broker) -> Response:
        asking = ask_agent(
            broker,
            self.agent,
            self.task,
            self.wait_s,
            self._on_event,
            self.text.add,
            on_sent=self._on_sent,
        )
        if self.console is None:
            return await asking
        with Live(get_renderable=self._shown, console=self.console, refresh_per_second=REFRESHES):
            response = await asking
            self.tree.end(response.status)
            self.text.clear()  # the whole answer is printed on stdout
        return response

    def _shown(self) -> Group:
        assert self.console is not None
        return Group(self.tree.drawn(), output.tail(self.console, self.text.turns.values()))

    def _on_event(self, event: Event) -> None:
        self.begun |= event.root_id == self.id
        self.tree.add(event)
        line = task_tree.line(event) if self.tree.concerns(event) else None
        if line and not self.console and not self.quiet:
            output.remark(line)

    async def _record(self) -> None:
        from services.cli.store import record_sent

        await record_sent(self.settings, self.id, self.agent)

    def _on_sent(self) -> None:
        self.sent = True

    def interrupted(self) -> None:
        """Say how to go on after Ctrl-C: the task has been sent, and its run continues."""
        if not self.sent:
            return
        asyncio.run(self._record())
        output.remark(
            f"the task goes on: 'hutch wait {self.id}' waits for its response, "
            f"'hutch cancel {self.id}' ends it"
        )
