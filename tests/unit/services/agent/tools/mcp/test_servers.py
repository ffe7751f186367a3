"""An agent's MCP servers: real ones of the SDK, as processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import ToolError
from shared.store import Store
from tests.support.mcp.servers import SHOP_COMMAND, call, servers_of

SHOP = {"name": "shop", "command": SHOP_COMMAND}


async def test_a_server_s_tools_are_offered_and_called(store: Store, tmp_path: Path) -> None:
    async with servers_of(store, tmp_path, SHOP) as servers:
        specs = {it.name: it for it in servers.specs}
        assert specs["shop_lookup"].description == "Returns the state of an order."
        assert await call(servers, "shop_lookup", order=7) == "order 7 is on its way"
        assert await call(servers, "shop_stock") == '{\n  "shoes": 3\n}'
        with pytest.raises(ToolError, match="refused: too old"):
            await call(servers, "shop_refuse", reason="too old")
