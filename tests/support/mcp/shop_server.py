"""An MCP server by the SDK, as a script: `python shop_server.py [http PORT]`.

It writes a line for each call into the file that `SHOP_LOG` names.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from base64 import b64encode
from pathlib import Path

from mcp.server.mcpserver import Context, Image, MCPServer
from mcp_types import CallToolResult, TextContent

server = MCPServer("shop", version="1.0", log_level="ERROR")
PICTURE = b64encode(b"not quite a PNG").decode()


def note(line: str) -> None:
    if path := os.environ.get("SHOP_LOG"):
        with Path(path).open("a") as file:
            file.write(f"{line}\n")


@server.tool()
def lookup(order: int) -> str:
    """Returns the state of an order."""
    note(f"lookup {order}")
    return f"order {order} is on its way"


@server.tool()
def pay(order: int) -> str:
    """Pays an order."""
    note(f"pay {order}")
    return "paid"


@server.tool()
def refuse(reason: str) -> CallToolResult:
    """Fails."""
    return CallToolResult(content=[TextContent(text=f"refused: {reason}")], is_error=True)


@server.tool()
def stock() -> dict[str, int]:
    """Returns the stock as data."""
    return {"shoes": 3}


@server.tool()
def picture() -> Image:
    """Returns a picture."""
    note("picture")
    return Image(data=b"not quite a PNG", format="png")


@server.tool()
def die() -> str:
    """Kills the server."""
    note("die")
    os.kill(os.getpid(), signal.SIGKILL)
    return "never"


@server.tool()
def sleep(seconds: float) -> str:
    """Takes its time."""
    note("sleep")
    time.sleep(seconds)
    return "awake"


@server.tool()
async def count(to: int, context: Context) -> str:
    """Counts, and reports its progress."""
    for number in range(to):
        await context.report_progress(number + 1, to)
    return "counted"


@server.tool()
def secret() -> str:
    """Returns the variables that the server has."""
    return ",".join(sorted(os.environ))


@server.resource("shop://policy")
def policy() -> str:
    """The returns policy."""
    return "Returns within 30 days."


@server.resource("shop://logo", mime_type="image/png")
def logo() -> bytes:
    return b"a logo"


@server.prompt()
def tone(mood: str = "friendly") -> str:
    """How to answer."""
    return f"Answer in a {mood} tone."


if __name__ == "__main__":
    if sys.argv[1:2] == ["http"]:
        server.run("streamable-http", port=int(sys.argv[2]))
    else:
        server.run()
