"""The delivery of webhooks: each gateway sends those that are due.

A webhook has the form and the signature of https://www.standardwebhooks.com.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus

import httpx2
import structlog
from prometheus_client import CollectorRegistry
from prometheus_client import Counter as Metric
from standardwebhooks import Webhook as Signer

from services.gateway.approvals import view_of
from services.gateway.gateway import Gateway
from services.gateway.webhooks.destination import destination
from shared.concurrency.fault_boundary import contained
from shared.contract.approvals import ApprovalState
from shared.contract.rows import readable_response
from shared.store.messages import webhooks
from shared.store.messages.webhooks import Webhook
from shared.store.queries.approval_lists import ShownApproval, one

log = structlog.get_logger()

POLL_S = 1.0
ATTEMPT_S = 15.0
"""The time for one attempt, shorter than `webhooks.LEASE_S`."""
AT_ONCE = 20
HOST_AT_ONCE = 4
"""The most attempts at one host, so that a host that hangs holds up no other one."""
HOST_BUSY_S = 5.0
"""After it, a webhook whose host had `HOST_AT_ONCE` attempts is tried."""
DELAYS_S = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
"""The wait after each failed attempt, as the specification proposes; after the last one, the
webhook is given up."""
RETENTION_EVERY_S = 3600.0
ERROR_CHARS = 300


@dataclass
class Webhooks:
    """Sends due webhooks. Any number of processes can do so at the same time."""

    gateway: Gateway
    registry: CollectorRegistry
    _hosts: Counter[str] = field(default_factory=Counter)
    """The attempts in progress, by host."""

    def __post_init__(self) -> None:
        self._attempts = attempts(self.registry)

    async def serve(self) -> None:
        """Send due webhooks until cancelled. A failure is logged, and the next round tries again.

        An attempt that is cancelled counts as not made: another gateway makes it.
        """
        cleaned_at = float("-inf")
        loop = asyncio.get_running_loop()
        async with (
            _client() as http,
            asyncio.TaskGroup() as jobs,
        ):
            while True:
                await contained(partial(self._start_due, http, jobs), "webhooks not sent")
                if loop.time() - cleaned_at > RETENTION_EVERY_S:
                    cleaned_at = loop.time()
                    await contained(self._remove_old, "old webhooks not deleted")
                await asyncio.sleep(POLL_S)

    async def _remove_old(self) -> None:
        keep_s = self.gateway.settings.keep_days * 24 * 3600
        await self.gateway.store.write("", partial(webhooks.remove_old, keep_s=keep_s))

    async def _start_due(self, http: httpx2.AsyncClient, jobs: asyncio.TaskGroup) -> None:
        free = AT_ONCE - self._hosts.total()
        secrets = self.gateway.own.webhook_secrets()
        if free <= 0 or not secrets:
            return
        for due in await self.gateway.store.write("", partial(webhooks.take_due, most=free)):
            host = httpx2.URL(due.url).host
            if self._hosts[host] >= HOST_AT_ONCE:
                later = partial(webhooks.postpone, webhook_id=due.webhook_id, delay_s=HOST_BUSY_S)
                await self.gateway.store.write("", later)
                continue
            self._hosts[host] += 1
            job = jobs.create_task(
                contained(partial(self._send, http, due, secrets), "webhook not recorded")
            )
            job.add_done_callback(partial(self._end_attempt, host))

    def _end_attempt(self, host: str, _: asyncio.Task[None]) -> None:
        self._hosts -= Counter({host: 1})  # leaves out hosts without an attempt

    async def _send(self, http: httpx2.AsyncClient, due: Webhook, secrets: Sequence[str]) -> None:
        try:
            async with asyncio.timeout(ATTEMPT_S):
                body = await self._body(due)
                if body is None:
                    return
                status = await self._post(http, due, body, secrets)
        except Exception as error:  # noqa: BLE001 - one that did not count would go on for ever
            fault = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            await self._failed(due, fault[:ERROR_CHARS])
            return
        if 200 <= status < 300:
            await self.gateway.store.write(
                "", partial(webhooks.delivered, webhook_id=due.webhook_id)
            )
            self._attempts.labels("delivered").inc()
        else:
            gone = status == HTTPStatus.GONE
            await self._failed(due, f"the receiver answered {status}", final=gone)

    async def _body(self, due: Webhook) -> str | None:
        """The body; None for a request for approval that was decided meanwhile."""
        if due.approval_id is None:
            return payload(due)
        shown = await self.gateway.store.read(partial(one, approval_id=due.approval_id))
        if shown is None or shown.approval.state is not ApprovalState.PENDING:
            return None
        return requested(due, shown)

    async def _post(
        self, http: httpx2.AsyncClient, due: Webhook, body: str, secrets: Sequence[str]
    ) -> int:
        """Send a webhook; returns the status of the answer, whose body is not read."""
        where = await destination(due.url, self.gateway.own.webhook_hosts)
        now = datetime.now(UTC)
        signatures = [Signer(it).sign(due.webhook_id, now, body) for it in secrets]
        headers = {
            "Host": where.host,
            "Content-Type": "application/json",
            "Webhook-Id": due.webhook_id,
            "Webhook-Timestamp": str(int(now.timestamp())),
            "Webhook-Signature": " ".join(signatures),
            "User-Agent": "hutch",
        }
        request = http.build_request(
            "POST",
            where.request_url,
            headers=headers,
            content=body.encode(),
            extensions={"sni_hostname": where.url.host, **_TIMEOUT},
        )
        answer = await http.send(request, stream=True)
        await answer.aclose()
        return answer.status_code

    async def _failed(self, due: Webhook, error: str, *, final: bool = False) -> None:
        if final or due.attempts >= len(DELAYS_S):
            log.warning("webhook given up", webhook=due.webhook_id, error=error)
            operation = partial(webhooks.give_up, webhook_id=due.webhook_id, error=error)
            self._attempts.labels("given_up").inc()
        else:
            delay_s = float(DELAYS_S[due.attempts])
            log.info("webhook failed", webhook=due.webhook_id, error=error, again_in_s=delay_s)
            operation = partial(
                webhooks.postpone, webhook_id=due.webhook_id, delay_s=delay_s, error=error
            )
            self._attempts.labels("failed").inc()
        await self.gateway.store.write("", operation)


def attempts(registry: CollectorRegistry) -> Metric:
    """The counter of attempts, with each outcome at zero."""
    metric = Metric("hutch_webhook_attempts", "Webhooks sent.", ["outcome"], registry=registry)
    for outcome in ("delivered", "failed", "given_up"):
        metric.labels(outcome)
    return metric


_TIMEOUT = {"timeout": httpx2.Timeout(ATTEMPT_S).as_dict()}


def _client() -> httpx2.AsyncClient:
    """Each attempt has a connection of its own: one that is kept belongs to a server's address, and
    its certificate was checked for one host only."""
    limits = httpx2.Limits(max_keepalive_connections=0)
    return httpx2.AsyncClient(
        timeout=ATTEMPT_S, limits=limits, follow_redirects=False, trust_env=False
    )


def payload(due: Webhook) -> str:
    """The body with the response of the task's run. One that can't be read is sent as `failed`."""
    response = readable_response(due.response or "", due.agent, due.task_id)
    fields = {"task_id", "agent", "status", "content", "data", "usage", "model", "session"}
    data = response.model_dump(mode="json", include=fields, exclude_none=True)
    return _event("task.ended", due.ended_at or 0.0, data)


def requested(due: Webhook, shown: ShownApproval) -> str:
    """The body with a request for approval in the tree of the task."""
    approval = view_of(shown).model_dump(mode="json", exclude_none=True)
    data = {"task_id": due.task_id, "agent": due.agent, "approval": approval}
    return _event("approval.requested", shown.approval.asked_at, data)


def _event(name: str, at: float, data: Mapping[str, object]) -> str:
    time = datetime.fromtimestamp(at, UTC).isoformat()
    return json.dumps({"type": name, "timestamp": time, "data": data})
