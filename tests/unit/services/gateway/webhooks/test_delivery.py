from __future__ import annotations

import asyncio
import base64
import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import pytest
from prometheus_client import CollectorRegistry
from standardwebhooks import Webhook as Verifier

from services.gateway.gateway import Gateway
from services.gateway.problems import Problem
from services.gateway.webhooks import delivery
from services.gateway.webhooks.callback import callback
from services.gateway.webhooks.delivery import HOST_AT_ONCE, Webhooks
from shared.contract.messages import run_id
from shared.settings.environment import Settings
from shared.settings.gateway import GatewaySettings
from shared.store import Store
from shared.store.messages import webhooks
from tests.support.stores.approvals import parked
from tests.support.stores.steps import ended, owned
from tests.support.webhook_receiver import Receiver, receiving

OLD, NEW = (f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}" for _ in range(2))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


def gateway(store: Store, **settings: str) -> Gateway:
    """A gateway of which webhooks use only the settings and the store."""
    given = {"HUTCH_WEBHOOK_SECRET": f"{NEW} {OLD}", "HUTCH_WEBHOOK_HOSTS": "localhost"} | settings
    own = GatewaySettings.model_validate(given)
    parts = {"settings": Settings(), "own": own, "store": store}
    found = Gateway.__new__(Gateway)
    for name, part in parts.items():
        setattr(found, name, part)
    return found


async def register(of: Gateway, task: str, url: str) -> None:
    """Have alice's response to a task sent to an address."""
    add = partial(webhooks.add, run_id=run_id("alice", task), callback=callback(of.own, url, ""))
    await of.store.write("", add)


@asynccontextmanager
async def delivering(gateway: Gateway) -> AsyncIterator[CollectorRegistry]:
    registry = CollectorRegistry()
    serving = asyncio.create_task(Webhooks(gateway, registry).serve())
    try:
        yield registry
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def until_counted(registry: CollectorRegistry, outcome: str) -> None:
    async with asyncio.timeout(10):
        name, labels = "hutch_webhook_attempts_total", {"outcome": outcome}
        while not registry.get_sample_value(name, labels):  # noqa: ASYNC110 - only a test waits
            await asyncio.sleep(0.01)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    monkeypatch.setattr(delivery, "POLL_S", 0.02)

    def retry_after(delay_s: float) -> None:
        monkeypatch.setattr(delivery, "DELAYS_S", (delay_s,) * 3)

    return retry_after


async def test_the_response_is_sent_once_with_a_signature_that_each_secret_verifies(
    store: Store, receiver: Receiver
) -> None:
    of = gateway(store)
    run = await owned(store)
    await register(of, "t1", receiver.address)
    await register(of, "t1", receiver.address)
    async with delivering(of) as registry:
        await ended(store, run)
        await receiver.until_got(1)
        await until_counted(registry, "delivered")
    ((headers, body),) = receiver.got
    for secret in (OLD, NEW):
        sent = cast(dict[str, object], Verifier(secret).verify(body, headers))
    assert sent["type"] == "task.ended"
    data = cast(dict[str, object], sent["data"])
    assert (data["task_id"], data["status"]) == ("t1", "ok")
    assert headers["content-type"] == "application/json"
    assert headers["host"].startswith("localhost:")


async def test_a_request_for_approval_is_sent_before_the_response(
    store: Store, receiver: Receiver
) -> None:
    of = gateway(store)
    run = await owned(store)
    await register(of, "t1", receiver.address)
    (asked,) = await parked(store, run)
    async with delivering(of):
        await receiver.until_got(1)
    ((headers, body),) = receiver.got
    sent = cast(dict[str, object], Verifier(NEW).verify(body, headers))
    assert sent["type"] == "approval.requested"
    data = cast(dict[str, object], sent["data"])
    assert (data["task_id"], data["agent"]) == ("t1", "alice")
    approval = cast(dict[str, object], data["approval"])
    assert (approval["id"], approval["name"]) == (asked.approval_id, "refund")
    assert approval["arguments"] == {"amount": 249}
    assert (approval["path"], approval["state"]) == (["alice"], "pending")


async def test_a_receiver_that_fails_gets_the_same_webhook_again(
    store: Store, receiver: Receiver, quick: Callable[[float], None]
) -> None:
    quick(0.01)
    receiver.answers = [500, 302, 404]
    of = gateway(store)
    run = await owned(store)
    await register(of, "t1", receiver.address)
    await ended(store, run)
    async with delivering(of):
        await receiver.until_got(4)
    assert list(receiver.ids.values()) == [4]
    assert len({body for _, body in receiver.got}) == 1


async def test_a_webhook_is_given_up_after_the_last_delay_and_at_once_if_it_is_gone(
    store: Store, receiver: Receiver, quick: Callable[[float], None]
) -> None:
    quick(0.01)
    receiver.answers = [410, 500, 500, 500, 500]
    of = gateway(store)
    for task in ("t1", "t2"):
        run = await owned(store, task)
        await register(of, task, receiver.address)
        async with delivering(of) as registry:
            await ended(store, run)
            await until_counted(registry, "given_up")
    assert sorted(receiver.ids.values()) == [1, 4]


@pytest.mark.parametrize("address", ["https://a..example/", "https://127.0.0.1:99999/"])
async def test_an_address_to_which_nothing_can_be_sent_is_given_up_like_others(
    address: str, store: Store, quick: Callable[[float], None]
) -> None:
    quick(0.01)
    of = gateway(store, HUTCH_WEBHOOK_HOSTS="127.0.0.1")
    run = await owned(store)
    await register(of, "t1", address)
    await ended(store, run)
    async with delivering(of) as registry:
        await until_counted(registry, "given_up")


async def test_a_gateway_that_dies_during_an_attempt_loses_no_webhook(
    store: Store,
    receiver: Receiver,
    quick: Callable[[float], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick(0.01)
    monkeypatch.setattr(webhooks, "LEASE_S", 0.5)
    of = gateway(store)
    run = await owned(store)
    await register(of, "t1", receiver.address)
    await ended(store, run)
    receiver.hanging = asyncio.Event()
    async with delivering(of):
        await receiver.until_got(1)
    receiver.hanging.set()
    async with delivering(of):
        await receiver.until_got(2)
    assert list(receiver.ids.values()) == [2]


async def test_a_host_that_hangs_holds_up_no_other_one(
    store: Store, receiver: Receiver, quick: Callable[[float], None]
) -> None:
    quick(0.01)
    of = gateway(store, HUTCH_WEBHOOK_HOSTS="localhost,127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as hanging:  # nothing accepts its connections
        port = hanging.getsockname()[1]
        for number in range(3 * HOST_AT_ONCE):
            run = await owned(store, f"hangs{number}")
            address = f"http://127.0.0.1:{port}/"
            await register(of, f"hangs{number}", address)
            await ended(store, run)
        async with delivering(of):
            run = await owned(store)
            await register(of, "t1", receiver.address)
            await ended(store, run)
            await receiver.until_got(1)


def test_without_a_secret_and_for_a_wrong_address_a_task_is_refused(store: Store) -> None:
    with pytest.raises(Problem, match="HUTCH_WEBHOOK_SECRET"):
        callback(gateway(store, HUTCH_WEBHOOK_SECRET="").own, "https://a", "k")
    with pytest.raises(Problem, match=r"callback_url: .*https://"):
        callback(gateway(store).own, "gopher://a", "k")


def test_a_response_that_cannot_be_read_is_sent_as_failed() -> None:
    due = webhooks.Webhook("msg_1", "https://a", 0, "alice", "t1", "{", 0.0)
    data = json.loads(delivery.payload(due))["data"]
    assert (data["agent"], data["task_id"], data["status"]) == ("alice", "t1", "failed")


@pytest.mark.parametrize(
    "secret", ["whsec_short", "abc", f"{NEW} no"], ids=["short", "no prefix", "a pair"]
)
def test_a_secret_of_another_form_is_refused_and_not_shown(
    secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUTCH_WEBHOOK_SECRET", secret)
    with pytest.raises(Exception, match="HUTCH_WEBHOOK_SECRET") as error:
        GatewaySettings.from_environment()
    assert secret not in str(error.value)


async def test_a_gateway_needs_a_run_to_have_ended(store: Store, receiver: Receiver) -> None:
    of = gateway(store)
    await register(of, "never-sent", receiver.address)
    assert await store.write("", partial(webhooks.take_due, most=9)) == []
