"""Limits of models that all processes share, as the runs of this process see them.

A call needs a lease from the store. Runs that ask at the same time get theirs in one commit. A run
that gets none waits without its slot: here if it is soon its turn, else it is postponed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import uuid4

from services.agent.instance import Instance
from services.agent.llm.chat import Completion, Model, OnText, Request
from services.agent.llm.errors import is_rate_limited
from services.agent.runs.admission import Slot
from services.agent.runs.models.pause import Pause
from services.agent.runs.store_journal import StoredJournal
from shared.concurrency.fault_boundary import contained, is_own_cancellation
from shared.contract.priority import Priority
from shared.errors import LimitReached, ModelUnavailable
from shared.settings.limits import LimitsByModel
from shared.settings.mapping import first_match
from shared.store.processes import cooldowns
from shared.store.processes.heartbeats import Watch
from shared.store.processes.rate_limits import LeaseReply, Limiter, give_back
from shared.store.processes.rate_queue import LeaseRequest, limit_text
from shared.store.runs.run import Run

HERE_S = 5.0
"""A longer wait postpones the run: that costs some commits, and waiting here some memory."""
MOST_HERE_S = 12.0
"""The longest time that a run waits here, however soon its turn seems to be. It is long enough to
see that the process that holds a lease is dead."""
ASK_AGAIN_S = 0.5
"""The time after which a run that waits here asks again: as often as a process polls."""
RETURN_WITHIN_S = 0.05
"""A lease is returned together with the next commit, usually that of the call's step."""

CHARS_PER_TOKEN = 4
TYPICAL_REPLY_TOKENS = 1_000
"""Assumed for a reply whose length is not limited."""


@dataclass
class Lease:
    """The permission for one call; its counts become those of the call."""

    lease_id: str
    tokens: int
    requests: int = 1


@dataclass
class SharedLimit:
    """The limits of one model, for the runs of this process."""

    limiter: Limiter
    instance: Instance
    jobs: asyncio.TaskGroup
    _asking: list[tuple[LeaseRequest, asyncio.Future[LeaseReply]]] = field(default_factory=list)
    _serving: bool = False
    _returned: asyncio.Event = field(default_factory=asyncio.Event)
    _watch: Watch = field(default_factory=Watch)
    _struck: bool = False

    async def ask(self, ask: LeaseRequest) -> LeaseReply:
        """Ask for a lease. If this is cancelled, a lease that is granted all the same is returned.

        Raises the store's errors.
        """
        reply: asyncio.Future[LeaseReply] = asyncio.get_running_loop().create_future()
        self._asking.append((ask, reply))
        if not self._serving:
            self._serving = True
            self.jobs.create_task(self._serve())
        try:
            return await asyncio.shield(reply)
        except asyncio.CancelledError:
            reply.add_done_callback(partial(self._unused, ask))
            raise

    async def _serve(self) -> None:
        """Ask the store for all that wait, again and again until none does."""
        try:
            while self._asking:
                batch, self._asking = self._asking, []
                await self._serve_batch(batch)
        finally:
            self._serving = False

    async def _serve_batch(
        self, batch: list[tuple[LeaseRequest, asyncio.Future[LeaseReply]]]
    ) -> None:
        try:
            answers = await self._answers([ask for ask, _ in batch])
        except BaseException as error:
            for _, reply in batch:
                reply.set_exception(error)
            if is_own_cancellation(error):
                raise
        else:
            for (_, reply), answer in zip(batch, answers, strict=True):
                reply.set_result(answer)

    async def _answers(self, asks: Sequence[LeaseRequest]) -> Sequence[LeaseReply]:
        me = self.instance
        ask = partial(self.limiter.ask, agent=me.agent, instance=me.id, asks=asks)
        found = await me.store.write(self._key, ask)
        if dead := self._watch.silent(found.holders, time.monotonic()) - {me.id}:
            found = await me.store.write(self._key, partial(ask, dead=dead))
        return found.answers

    def _unused(self, ask: LeaseRequest, reply: asyncio.Future[LeaseReply]) -> None:
        if not reply.cancelled() and not reply.exception() and reply.result().wait_s is None:
            self.give_back(Lease(ask.lease_id, tokens=0, requests=0))

    async def freed(self, within_s: float) -> None:
        """Wait until this process has returned a lease, at most `within_s` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._returned.wait()

    def give_back(self, lease: Lease) -> None:
        """Return a lease, in a commit that follows. If this process dies before it, another one
        sees that its heartbeat stands still, and returns the lease."""
        self._do(partial(self._give_back, lease), "lease not returned")

    async def _give_back(self, lease: Lease) -> None:
        store, me = self.instance.store, self.instance
        give = partial(give_back, **vars(lease))
        if await store.write(self._key, give, RETURN_WITHIN_S) and self.limiter.returns_matter:
            wake = partial(self.limiter.ask, agent=me.agent, instance=me.id, asks=())
            await store.write(self._key, wake)
        returned, self._returned = self._returned, asyncio.Event()
        returned.set()

    def cool_down(self, asked_s: float | None) -> None:
        """Let all processes wait, for as long as the endpoint asks; None: it doesn't say."""
        self._struck = True
        cool = partial(cooldowns.cool_down, model=self.limiter.model, asked_s=asked_s)
        self._do(partial(self.instance.store.write, self._key, cool), "cool-down not recorded")

    def succeeded(self) -> None:
        if self._struck:
            self._struck = False
            recover = partial(cooldowns.recover, model=self.limiter.model)
            self._do(partial(self.instance.store.write, self._key, recover), "not recovered")

    def count_wait(self) -> None:
        self.instance.metrics.limit_waits.labels(self.limiter.model).inc()

    def _do(self, work: Callable[[], Coroutine[None, None, None]], fault: str) -> None:
        self.jobs.create_task(contained(work, fault))

    @property
    def _key(self) -> str:
        """A key after the ids of runs in order: no commit waits for a run's row while it holds the
        lock on the model's name."""
        return f"limit {self.limiter.model}"


@dataclass
class RateLimits:
    """The shared limits of the settings."""

    limits: LimitsByModel
    instance: Instance
    jobs: asyncio.TaskGroup
    _made: dict[str, SharedLimit] = field(default_factory=dict)

    def of(self, model: str) -> SharedLimit | None:
        """The limits of a model; None if it has none."""
        found = first_match(self.limits, model)
        if found is None:
            return None
        if found[0] not in self._made:
            self._made[found[0]] = SharedLimit(Limiter(*found), self.instance, self.jobs)
        return self._made[found[0]]


@dataclass
class LimitedModel:
    """A model that is called only with a lease.

    Raises `LimitReached` where the run is to wait elsewhere.
    """

    model: Model
    limit: SharedLimit
    run: Run
    priority: Priority
    slot: Slot
    pause: Pause
    journal: StoredJournal

    async def complete(self, request: Request, on_text: OnText | None = None) -> Completion:
        """See `Model.complete`."""
        lease = await self._lease(tokens_of(request))

        def again(error: BaseException | None) -> None:
            lease.requests += 1
            request.on_retry(error)

        counted = replace(request, on_retry=again, retry_rate_limits=False)
        try:
            completion = await self.model.complete(counted, on_text)
            lease.tokens = completion.usage.tokens or lease.tokens
        except ModelUnavailable as error:
            if is_rate_limited(error):
                self.limit.cool_down(error.wait_s)
            raise
        finally:
            self.limit.give_back(lease)
        if completion.exhausted_s is None:
            self.limit.succeeded()
        else:
            self.limit.cool_down(completion.exhausted_s)
        return completion

    async def _lease(self, tokens: int) -> Lease:
        most = self.limit.limiter.limits.tokens_per_minute
        lease = Lease(uuid4().hex, tokens if most is None else min(tokens, most))
        ask = LeaseRequest(lease.lease_id, self.run.run_id, self.priority, lease.tokens)
        began = time.monotonic()
        while (answer := await self.limit.ask(ask)).wait_s is not None:
            text = limit_text(self.limit.limiter.model, answer.reason)
            if not self.journal.cause.waits_for:
                self.limit.count_wait()
            self.journal.cause.waits_for = text
            waited_s = time.monotonic() - began
            is_long = answer.wait_s > HERE_S or waited_s + answer.wait_s > MOST_HERE_S
            if is_long or self.run.attempts:  # a paused slot would end a suspect's isolation
                raise LimitReached(text, answer.wait_s)
            self.slot.pause()
            await self.limit.freed(ASK_AGAIN_S)
            await self.slot.resume()
            await self.pause.passed(self.journal)
            await self.journal.begin_again()
        self.journal.cause.call_began()
        return lease


def tokens_of(request: Request) -> int:
    """An estimate of the tokens of a request and its reply, before the call."""
    chars = sum(len(str(it)) for it in (*request.history, *request.tools))
    return chars // CHARS_PER_TOKEN + (request.most_tokens or TYPICAL_REPLY_TOKENS)
