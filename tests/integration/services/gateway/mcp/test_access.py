"""Keys, scopes and other sites' pages at the door of MCP."""

from __future__ import annotations

import httpx2
import pytest

from tests.integration.services.gateway.mcp.conftest import Door
from tests.integration.services.gateway.openai.test_chat import stored
from tests.support.gateway import client as http_client
from tests.support.gateway import gateway
from tests.support.mcp.client import Wire

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)


def key(door: Door, name: str, *options: str) -> dict[str, str]:
    made = door.system.hutch("keys", "add", name, *options).stdout.strip()
    return {"Authorization": f"Bearer {made}"}


def failure(response: httpx2.Response) -> tuple[int, str]:
    """The status, and the message of the error of JSON-RPC."""
    body = response.json()
    assert (body["jsonrpc"], body["id"]) == ("2.0", None)
    return response.status_code, body["error"]["message"]


async def test_a_key_shows_and_allows_what_it_is_for(door: Door) -> None:
    _, url = gateway(door.system, HUTCH_GATEWAY_HOST="0.0.0.0")
    async with http_client(url) as http:
        refused = await http.post("/mcp", json={})
        assert failure(refused) == (401, "a key is needed: 'hutch keys add NAME' makes one")
        assert refused.headers["www-authenticate"] == "Bearer"

        only = Wire(http, headers=key(door, "only-bob", "--agent", "bob"))
        assert [it["name"] for it in (await only.result("tools/list"))["tools"]] == ["bob"]
        hidden = await only.error("tools/call", name="form", arguments={"prompt": "Hello!"})
        assert hidden["message"] == "there is no tool 'form'"
        made = await only.call("bob", "[[latency 3]][[reply Here it is.]]")

        reader = Wire(http, headers=key(door, "reader", "--scope", "read"))
        assert len((await reader.result("tools/list"))["tools"]) == 3
        assert (await reader.result("tasks/get", taskId=made["taskId"]))["taskId"] == made["taskId"]
        for method, params in (
            ("tools/call", {"name": "bob", "arguments": {"prompt": "Hello!"}}),
            ("tasks/cancel", {"taskId": made["taskId"]}),
        ):
            assert (await reader.error(method, **params))["data"] == {"status": 403}

        other = Wire(http, headers=key(door, "only-form", "--agent", "form"))
        assert (await other.error("tasks/get", taskId=made["taskId"]))["code"] == -32602
    sent = "SELECT key_name, subject FROM audit WHERE action = 'task.send'"
    assert stored(door.system, sent) == [("only-bob", f"bob/{made['taskId']}")]


async def test_pages_of_other_sites_and_foreign_names_are_refused(door: Door) -> None:
    async with http_client(door.url) as http:
        for headers in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
            assert (await http.post("/mcp", json={}, headers=headers)).status_code == 403
        for method in ("GET", "DELETE"):
            refused = await http.request(method, "/mcp")
            assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
