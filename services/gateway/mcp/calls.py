"""Calls of agents: tasks, whose end the client waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus

from anyio import move_on_after
from mcp.server.context import HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    CancelledNotificationParams,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)
from pydantic import ValidationError

from services.gateway.mcp import tasks
from services.gateway.mcp.client import Client, ClientOf, Context
from services.gateway.mcp.progress import Progress
from services.gateway.mcp.tools import AgentTools, Arguments
from services.gateway.problems import Problem
from services.gateway.tasks import lookup
from services.gateway.tasks.happenings import Draining, Ended
from services.gateway.tasks.hub import Hub
from services.gateway.tasks.place import Place
from services.gateway.tasks.submission import cancel, check_unused, submit
from services.gateway.tasks.watch import Watch
from shared.contract.messages import Response, Task
from shared.store.processes.api_keys import Scope
from shared.validation import first_fault

YEAR_S = 365 * 86400.0
"""A run ends by its own deadline, so a wait for it needs no other."""

CANCEL_S = 5.0
"""So long a cancel may take after its client has left."""


@dataclass(frozen=True)
class Calls:
    hub: Hub
    tools: AgentTools
    client_of: ClientOf

    async def list(self, context: Context, _: PaginatedRequestParams) -> ListToolsResult:
        caller = self.client_of(context).caller
        caller.need(Scope.READ)
        return ListToolsResult(tools=self.tools.offered(caller))

    async def call(self, context: Context, params: CallToolRequestParams) -> HandlerResult:
        """The agent's answer; a task in its place if that takes longer and the client takes tasks.

        Wrong arguments are a result, so that the client's model can correct them.
        """
        client, agent = self.client_of(context), params.name
        client.caller.need(Scope.RUN)
        if agent not in self.tools.names or not client.caller.sees(agent):
            raise MCPError(INVALID_PARAMS, f"there is no tool '{agent[:80]}'")
        task_id = client.task_id(context.request_id)
        try:
            task = Arguments.model_validate(params.arguments or {}).task(task_id)
        except ValidationError as error:
            return _wrong(first_fault(error))
        except ValueError as error:
            return _wrong(str(error))
        if client.key is not None:
            await check_unused(self.hub, agent, task_id)
        client.caller.count_stream()
        with self.hub.metrics.streams.track_inprogress():
            async with self._sent(client, agent, task) as watch:
                if tasks.declared(context):
                    response = await watch.response(tasks.AT_ONCE_S)
                else:
                    response = await _answer(watch, context)
        if response is not None:
            return self.tools.result(response, task_id)
        if tasks.declared(context):
            view = await lookup.view(self.hub.gateway.store, agent, task_id)
            return tasks.created(view, self.hub.gateway.settings.keep_days)
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, f"this gateway ends, and the task '{task_id}' goes on"
        )

    async def cancelled(self, context: Context, params: CancelledNotificationParams) -> None:
        """Cancel a call of the same session, also one that waits at another gateway.

        Where leaving cancels, the SDK has cancelled the call's handler. It cancels this one too, as
        soon as the notification's connection ends, hence the shield.
        """
        client = self.client_of(context)
        if params.request_id is None or not client.session or client.leaving_cancels:
            return
        with move_on_after(CANCEL_S, shield=True), suppress(Problem):
            client.caller.need(Scope.RUN)
            task_id = client.task_id(params.request_id)
            known = await lookup.find(self.hub.gateway.store, client.caller, task_id, None)
            await cancel(self.hub, client.caller, known.agent, task_id)

    @asynccontextmanager
    async def _sent(self, client: Client, agent: str, task: Task) -> AsyncIterator[Watch]:
        """Send the task. A client that leaves within the context cancels it if the protocol says
        so, unless it is the gateway that ends."""
        task_id = task.id or ""
        async with self.hub.watch(agent, task_id) as watch:
            try:
                await submit(self.hub, watch, task, client.caller)
                yield watch
            except asyncio.CancelledError:
                if client.leaving_cancels and not self.hub.gateway.stopping.mode:
                    with move_on_after(CANCEL_S, shield=True):
                        await cancel(self.hub, client.caller, agent, task_id)
                raise


async def _answer(watch: Watch, context: Context) -> Response | None:
    """The task's response, with notifications of its progress if the client wants them; None if
    this gateway ends before."""
    if context.meta is None or "progress_token" not in context.meta:
        return await watch.response(YEAR_S)
    progress = Progress(context.session, watch.agent)
    async with asyncio.TaskGroup() as jobs:
        repeating = jobs.create_task(progress.repeat())
        response = await _followed(watch, progress)
        repeating.cancel()
    return response


async def _followed(watch: Watch, progress: Progress) -> Response | None:
    async with aclosing(watch.happenings(Place())) as happenings:
        async for it in happenings:
            if isinstance(it, Ended):
                return it.response
            if isinstance(it, Draining):
                return None
            await progress.report(it)
    return None


def _wrong(sentence: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(text=sentence)], is_error=True)
