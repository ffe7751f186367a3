"""The page about the gateway agrees with the code."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook as Signer

from services.gateway.app import routes
from services.gateway.webhooks.delivery import ATTEMPT_S, DELAYS_S, payload
from shared.contract.messages import Response, encode, run_id
from shared.store.messages.webhooks import Callback, Webhook, webhook_id
from tests.support.repository import REPOSITORY

PAGE = (REPOSITORY / "docs" / "gateway.md").read_text("utf-8")
[EXAMPLE] = re.findall(r"```http\n(POST /hutch .*?)\n```", PAGE, re.DOTALL)
HEAD, _, BODY = EXAMPLE.partition("\n\n")
HEADERS = dict(line.split(": ", 1) for line in HEAD.splitlines()[1:])
UNITS = {"s": 1, "min": 60, "h": 3600}


def operations() -> list[tuple[str, str]]:
    """Each request of the API with the scope that it needs, as its OpenAPI says."""
    return [
        (f"{method.upper()} {path}", "".join(operation.get("security", [{"key": ""}])[0]["key"]))
        for path, methods in routes().openapi()["paths"].items()
        for method, operation in methods.items()
        if not path.startswith("/v1/")
    ]


@pytest.mark.parametrize(("request_", "scope"), operations())
def test_each_request_is_in_the_table_with_its_scope(request_: str, scope: str) -> None:
    [named] = re.findall(rf"^\| `{re.escape(request_)}` \| ([\w ]*)\|", PAGE, re.MULTILINE)
    assert named.strip() in {scope, "by command"}


def test_the_webhook_in_the_page_is_one_that_a_gateway_sends() -> None:
    sent = json.loads(BODY)
    response = Response(**sent["data"])
    own = run_id(response.agent, response.task_id)
    callback = Callback(f"https://{HEADERS['Host']}/hutch", "k")
    ended_at = datetime.fromisoformat(sent["timestamp"]).timestamp()
    id = webhook_id(own, callback)
    assert HEADERS["Webhook-Id"] == id
    webhook = Webhook(
        id,
        callback.url,
        0,
        response.agent,
        response.task_id,
        encode(response).decode(),
        ended_at,
    )
    assert payload(webhook) == BODY
    [secret] = re.findall(r"whsec_[\w+/]{32}", PAGE)
    at = datetime.fromtimestamp(int(HEADERS["Webhook-Timestamp"]), UTC)
    assert HEADERS["Webhook-Signature"] == Signer(secret).sign(id, at, BODY)


def test_the_page_names_the_times_of_the_retries() -> None:
    [named] = re.findall(r"repeated after ([^;]*);", PAGE)
    found = re.findall(r"(\d+)\s(s|min|h)", named)
    assert [int(number) * UNITS[unit] for number, unit in found] == list(DELAYS_S)
    assert f"none within {ATTEMPT_S:.0f} s" in PAGE
