"""What `hutch doctor` says about the MCP servers of the agents."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.responses import Response
from starlette.routing import Route

from services.cli.doctor.finding import Severity
from services.cli.doctor.mcp_servers import mcp_findings
from shared.definitions.model import Definition
from tests.support.mcp.http_server import free_port
from tests.support.model.endpoint import served


def agent(**server: object) -> dict[str, Definition]:
    entry = {"name": "shop", **server}
    return {"clerk": Definition.model_validate({"name": "clerk", "mcp": [entry]})}


async def test_a_command_that_is_not_found_is_named() -> None:
    [found] = await mcp_findings(agent(command="no-such-command --now"))
    assert "'clerk' starts its MCP server 'shop' by 'no-such-command'" in found.sentence
    assert found.severity is Severity.ADVICE
    assert await mcp_findings(agent(command="sh -c true")) == []


async def test_a_credential_that_is_not_set_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents = agent(command="sh", env=["SHOP_TOKEN"])
    [found] = await mcp_findings(agents)
    assert "in SHOP_TOKEN, which is not set here" in found.sentence
    (tmp_path / "token").write_text("secret", "utf-8")
    monkeypatch.setenv("SHOP_TOKEN_FILE", str(tmp_path / "token"))
    assert await mcp_findings(agents) == []


async def test_an_address_that_does_not_answer_is_a_fault() -> None:
    port = free_port()
    [found] = await mcp_findings(agent(url=f"http://127.0.0.1:{port}/mcp?key=hidden"))
    assert found.severity is Severity.FAULT
    assert f"http://127.0.0.1:{port}/mcp does not answer here" in found.sentence
    with served([Route("/mcp", lambda _: Response())]) as origin:
        assert await mcp_findings(agent(url=f"{origin}/mcp")) == []
