"""Asking for a webhook with a task."""

from __future__ import annotations

import hashlib
from functools import partial
from http import HTTPStatus

from services.gateway.gateway import Gateway
from services.gateway.problems import Problem
from services.gateway.webhooks.destination import Unreachable, checked
from shared.contract.messages import run_id
from shared.store.messages import webhooks


async def register(gateway: Gateway, agent: str, task_id: str, url: str, key_id: str) -> None:
    """Have `url` receive the response of a task; to be awaited before the task is sent.

    A repetition changes nothing. Raises `Problem` for an address that webhooks never reach.
    """
    if not gateway.own.webhook_secrets():
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "callback_url: webhooks are off here: HUTCH_WEBHOOK_SECRET is not set",
        )
    try:
        checked(url, gateway.own.webhook_hosts)
    except Unreachable as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"callback_url: {error}") from error
    run = run_id(agent, task_id)
    name = hashlib.sha256(f"{run}\0{url}".encode()).hexdigest()[:32]
    add = partial(webhooks.add, webhook_id=f"msg_{name}", run_id=run, url=url, key_id=key_id)
    await gateway.store.write("", add)
