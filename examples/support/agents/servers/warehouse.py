"""The warehouse: an MCP server of its own, which any MCP client can use."""

from typing import TypedDict

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError

PIECES = {
    "tea kettle": 12,
    "coffee grinder": 3,
    "two cups": 40,
    "milk jug": 7,
    "espresso machine": 0,
    "toaster": 5,
}

server = MCPServer("warehouse")


class Stock(TypedDict):
    item: str
    pieces: int


@server.tool()
def stock(item: str) -> Stock:
    """Says how many pieces of an item are in stock."""
    name = item.lower().strip()
    if name not in PIECES:
        raise ToolError(f"there is no '{item}'; there are: {', '.join(PIECES)}")
    return {"item": name, "pieces": PIECES[name]}


if __name__ == "__main__":
    server.run()
