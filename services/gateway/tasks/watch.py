"""One client that waits for a task, or follows it."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from functools import partial
from uuid import uuid4

from services.gateway.gateway import Gateway
from services.gateway.tasks.happenings import Draining, Ended, Happening, StepDone
from services.gateway.tasks.lookup import is_of_run
from services.gateway.tasks.place import Place
from services.gateway.tasks.progress import Progress
from services.gateway.tasks.text import FollowedText
from shared.contract.messages import Response, Task, Trigger, run_id
from shared.contract.rows import message_of, output_of, readable_response
from shared.contract.stream import StreamPart
from shared.errors import DamagedRow, StoreUnavailable
from shared.store.queries import progress
from shared.store.queries.progress import TreeProgress

READS_AFTER_S = (0.02, 0.2, 1.0)
"""Seconds from an event of the task to the next reads of the store. Some events are published just
before the commit that they report, and many come at once."""

FALLBACK_S = 5.0
"""Seconds between two reads without an event: events can be lost."""

STORE_S = 2.0
"""So long a response that has come from the broker waits for a store that doesn't answer, to be
sent after the last steps."""

MOST_PARTS = 1000
"""The most pieces of text that wait for a slow client; then it loses the oldest, and gets the whole
text of the turn when that is in the journal."""


class Watch:
    """Its owner calls one of its methods at a time. `Hub.watch` makes it."""

    def __init__(self, gateway: Gateway, agent: str, task_id: str) -> None:
        self.agent = agent
        self.task_id = task_id
        self.run_id = run_id(agent, task_id)
        self.id = uuid4().hex
        """The correlation id of what is sent for this client."""
        self.found = TreeProgress()
        """The last answer of the store that had a run of the task."""
        self.sent_at: float | None = None
        """When the task was sent, by the store."""
        self.message: Task | Trigger | None = None
        """The message sent for this client; it is sent again at `again_at` if no run has begun."""
        self.again_at = math.inf
        self._gateway = gateway
        self._changed = asyncio.Event()
        self._parts: deque[StreamPart] = deque(maxlen=MOST_PARTS)
        self._reply: Response | None = None
        self._replied_at = 0.0
        self._reads = [0.0]
        """When the store is to be read, by the loop's clock."""

    def wake(self) -> None:
        """Let it look at the state of this process again."""
        self._changed.set()

    def hint(self) -> None:
        """Something has happened to the task, or will in a moment: read the store."""
        now = _now()
        first = min(now + READS_AFTER_S[0], *self._reads)
        self._reads = [first, *(now + later_s for later_s in READS_AFTER_S[1:])]
        self.wake()

    def add_part(self, part: StreamPart) -> None:
        self._parts.append(part)
        self.wake()

    def answer(self, response: Response) -> None:
        """A response to what was sent for this client."""
        self._reply, self._replied_at = response, _now()
        self._reads = [0.0]
        self.wake()

    async def response(self, within_s: float) -> Response | None:
        """The task's response; None if there is none in time, or if this gateway ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s), aclosing(self._until_end(None)) as happenings:
                async for it in happenings:
                    return it.response if isinstance(it, Ended) else None
        return None

    def happenings(self, after: Place) -> AsyncGenerator[Happening]:
        """The happenings of the task after a place, until its response, or until this gateway ends.

        Its caller must close it.
        """
        return self._until_end(Progress(self.run_id, after))

    async def _until_end(self, journal: Progress | None) -> AsyncGenerator[Happening]:
        """The happenings; without a journal only the last one."""
        text, streams = FollowedText(self.run_id), False
        reading: asyncio.Task[TreeProgress] | None = None
        try:
            while True:
                if reading is None and self._is_read_due():
                    reading = asyncio.create_task(self._read(journal))
                    reading.add_done_callback(lambda _: self.wake())
                if reading is not None and reading.done():
                    found, reading = reading.result(), None
                    streams = streams or _asks_for_text(found.message)
                    for it in self._news(journal, text if streams else None, found):
                        yield it
                    if ended := self._ended(journal, found):
                        yield ended
                        return
                while journal and self._parts:
                    for piece in text.add(self._parts.popleft()):
                        yield piece
                if self._reply and self._is_final(self._reply):
                    yield Ended("", self._reply)
                    return
                if self._gateway.stopping.mode:
                    yield Draining(journal.place if journal else "")
                    return
                await self._wait()
        finally:
            if reading is not None:
                reading.cancel()

    async def _read(self, journal: Progress | None) -> TreeProgress:
        """The answer of the store now; an empty one while it is unavailable."""
        if journal is None:
            look = partial(progress.end, run_id=self.run_id)
        else:
            look = partial(progress.tree, followed=self.run_id, wanted=journal.wanted)
        try:
            found = await self._gateway.store.read(look)
        except StoreUnavailable:
            self._reads = [_now() + READS_AFTER_S[-1]]
            return TreeProgress()
        if found.runs:
            self.found = found
        return found

    def _news(
        self, journal: Progress | None, text: FollowedText | None, found: TreeProgress
    ) -> Iterator[Happening]:
        if journal is None:
            return
        replies = {it.turn: it.output for it in found.steps if it.output is not None}
        for it in journal.news(found.runs, found.steps, found.approvals):
            yield it
            if text and it.run_id == self.run_id and isinstance(it, StepDone) and not it.position:
                yield from text.record(it.turn, _content(replies.get(it.turn)))

    def _ended(self, journal: Progress | None, found: TreeProgress) -> Ended | None:
        run = found.run(self.run_id)
        if run is None or run.ended_at is None or found.response is None:
            return None
        place = journal.end(run.epoch) if journal else ""
        return Ended(place, readable_response(found.response, self.agent, self.task_id))

    def _is_final(self, reply: Response) -> bool:
        """Whether a reply ends the stream now: it is a refusal, so that this task has no run, or
        the store does not answer."""
        late = _now() >= self._replied_at + STORE_S
        return late or not is_of_run(reply, self.run_id)

    def _is_read_due(self) -> bool:
        now = _now()
        if self._reads[0] > now:
            return False
        self._reads = [it for it in self._reads if it > now] or [now + FALLBACK_S]
        return True

    async def _wait(self) -> None:
        until = self._reads[0]
        if self._reply is not None:
            until = min(until, self._replied_at + STORE_S)
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await self._changed.wait()
        self._changed.clear()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _asks_for_text(message: str) -> bool:
    try:
        return bool(message) and getattr(message_of(message), "stream", False)
    except DamagedRow:
        return False


def _content(output: str | None) -> str:
    try:
        return output_of(output or "{}").content or ""
    except DamagedRow:
        return ""
