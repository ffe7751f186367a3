"""The MCP servers of an agent's process, from its start to its end.

This is the only module of the package that an agent without servers imports: the SDK takes half a
second and 25 MB.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from shared.concurrency.threads import in_thread
from shared.definitions.model import Definition, callable_names
from shared.store import Store

if TYPE_CHECKING:
    from services.agent.tools.mcp.servers import Servers


@asynccontextmanager
async def connected(
    definition: Definition,
    folder: Path,
    store: Store,
    on_state: Callable[[str, bool], None] = lambda _, __: None,
) -> AsyncIterator[Servers | None]:
    """The agent's servers, as far as they are reached soon; None if its file names none.

    `on_state` is called with a server's name and whether it is connected.
    """
    if not definition.mcp:
        yield None
        return
    await in_thread(import_module, "services.agent.tools.mcp.servers")
    from services.agent.tools.mcp.servers import Servers

    servers = Servers(definition.mcp, folder, store, callable_names(definition), on_state)
    serving = asyncio.create_task(servers.serve())
    try:
        await servers.started()
        yield servers
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
