"""Dead letters: list, show, replay and drop them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from services.gateway import gateway as gateways
from services.gateway.access import audit
from services.gateway.access.caller import Caller, Operator, Reader
from services.gateway.api.tasks import Text
from services.gateway.problems import Problem
from shared.client.dead_letters.remedies import Action, remedies
from shared.client.dead_letters.replay import replay as replay_one
from shared.client.dead_letters.selection import Choice, Held, holding
from shared.contract.messages import Lineage, Response, Task, Trigger, decode
from shared.contract.times import WrittenTime
from shared.errors import BadMessage, HutchError
from shared.store.runs.replay import InDoubtDecision

TEXT_CHARS = 200

router = APIRouter(tags=["dead letters"])


class DeadLetterRow(BaseModel):
    """A message that could not be processed."""

    model_config = ConfigDict(frozen=True)

    id: str
    agent: str = Field(description="the agent it was addressed to; it may not exist")
    reason: str
    kind: str = Field(description="task, trigger, response, …; empty if it can't be read")
    at: datetime | None = Field(description="null: it is not known when it was given up")
    task_id: str | None
    run_id: str | None = Field(description="the run that was given up; null: it had become none")
    text: str = Field(description="the beginning of its text")


class DeadLetters(BaseModel):
    """`total` counts all that the filter lets through; `next` is the `before` of the next page.

    `newest` is the latest time of all: as `until` of an action it leaves out what arrives later.
    """

    model_config = ConfigDict(frozen=True)

    dead_letters: list[DeadLetterRow]
    next: str | None
    total: int
    newest: datetime | None


class RemedyRow(BaseModel):
    model_config = ConfigDict(frozen=True)

    action: Action
    sentence: str


class DeadLetter(DeadLetterRow):
    """A dead letter with its body, and what can be done about it."""

    message: str = Field(description="its body; bytes that are not UTF-8 are replaced")
    headers: dict[str, JsonValue] = Field(description="what is known of its origin")
    remedies: list[RemedyRow]


class Selection(BaseModel):
    """Some dead letters: by their ids, by a filter, or all."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ids: list[Text] | None = Field(default=None, min_length=1, max_length=1000)
    reason: Text | None = Field(default=None, description="a part of the reason")
    agent: Text | None = None
    since: WrittenTime | None = None
    until: WrittenTime | None = None
    all: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Selection:
        filters = (self.reason, self.agent, self.since, self.until)
        filtered = any(it is not None for it in filters)
        if sum((self.ids is not None, filtered, self.all)) != 1:
            raise ValueError("give either ids, or a filter, or all")
        return self

    def of(self, held: Sequence[Held]) -> Sequence[Held]:
        if self.ids is not None:
            return [it for it in held if it.dead_letter.id in set(self.ids)]
        choice = Choice(None, self.agent, self.reason, True, self.since, self.until)
        return choice.of(held)


class Replay(Selection):
    """With one id, it can have a decision on the tool call in doubt."""

    tool_done: Text | None = Field(default=None, description="it has acted, with this result")
    tool_again: bool = Field(default=False, description="it has not acted: call it once more")

    @model_validator(mode="after")
    def _one_decision(self) -> Replay:
        if self.tool_done is not None and (self.tool_again or len(self.ids or ()) != 1):
            raise ValueError("tool_done is the result of one call: give one id, and no tool_again")
        return self

    @property
    def decision(self) -> InDoubtDecision | None:
        if self.tool_done is None:
            return InDoubtDecision(None) if self.tool_again else None
        return InDoubtDecision(self.tool_done)


class Failure(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str
    error: str


class Handled(BaseModel):
    """`done` counts the dead letters that are gone; the others stay."""

    model_config = ConfigDict(frozen=True)

    done: int
    failed: list[Failure]


@router.get("/api/dead-letters")
async def list_dead_letters(
    caller: Reader,
    request: Request,
    reason: str | None = None,
    agent: str | None = None,
    since: WrittenTime | None = None,
    until: WrittenTime | None = None,
    q: Annotated[str | None, Query(description="a part of the text, the reason or an id")] = None,
    before: Annotated[str | None, Query(description="the `next` of the page before")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> DeadLetters:
    """The dead letters, the newest first."""
    choice = Choice(None, agent, reason, True, since, until)
    async with _held(request, caller) as held:
        found = [_row(it) for it in choice.of(held)]
    found = [row for row in reversed(found) if _matches(row, q)]
    start = next((at + 1 for at, row in enumerate(found) if row.id == before), 0)
    page = found[start : start + limit]
    more = start + limit < len(found)
    return DeadLetters(
        dead_letters=page,
        next=page[-1].id if page and more else None,
        total=len(found),
        newest=max((row.at for row in found if row.at is not None), default=None),
    )


@router.get("/api/dead-letters/{id:path}")
async def show_dead_letter(id: str, caller: Reader, request: Request) -> DeadLetter:
    store = gateways.of(request).store
    async with _held(request, caller) as held:
        found = [it for it in held if it.dead_letter.id == id]
        if not found:
            raise Problem(HTTPStatus.NOT_FOUND, f"there is no dead letter '{id}'")
        possible = await remedies(store, found[0])
    it = found[0].dead_letter
    facts: dict[str, JsonValue] = {
        "place": found[0].place,
        "attempts": it.attempts,
        "queue": it.queue,
        "routing_key": it.routing_key,
        "sender": it.sender,
        "message_id": it.message_id,
        "epoch": it.epoch,
        "reply_to": it.reply_to,
        "correlation_id": it.correlation_id,
        "content_type": it.content_type,
        "instance": it.instance,
        "first_reason": it.first.reason,
        "first_at": it.first.at.isoformat() if it.first.at else None,
    }
    return DeadLetter(
        **_row(found[0]).model_dump(),
        message=it.body.decode("utf-8", "replace"),
        headers={name: value for name, value in facts.items() if value not in {None, ""}},
        remedies=[RemedyRow(action=one.action, sentence=one.sentence) for one in possible],
    )


@router.post("/api/dead-letters/replay")
async def replay_dead_letters(wanted: Replay, caller: Operator, request: Request) -> Handled:
    """Replay dead letters: a run continues after its last finished step, a message is sent again.

    A replay that was interrupted can be repeated: no run is replayed twice.
    """
    gateway = gateways.of(request)

    async def replay(it: Held) -> None:
        await replay_one(gateway.broker, gateway.store, it, wanted.decision)

    return await _each(wanted, caller, request, "dead_letter.replay", replay)


@router.post("/api/dead-letters/drop")
async def drop_dead_letters(wanted: Selection, caller: Operator, request: Request) -> Handled:
    """Delete dead letters for good."""
    return await _each(wanted, caller, request, "dead_letter.drop", lambda it: it.remove())


async def _each(
    wanted: Selection,
    caller: Caller,
    request: Request,
    action: str,
    act: Callable[[Held], Awaitable[object]],
) -> Handled:
    """Act on the wanted dead letters, one after the other; a failure stops no other one."""
    store, done, failed = gateways.of(request).store, 0, []
    async with _held(request, caller) as held:
        for it in wanted.of(held):
            id = it.dead_letter.id
            await audit.record(store, caller, action, f"{it.dead_letter.agent}/{id}")
            try:
                await act(it)
                done += 1
            except HutchError as error:
                failed.append(Failure(id=id, error=str(error)))
    request.app.state.observation.forget()
    return Handled(done=done, failed=failed)


@asynccontextmanager
async def _held(request: Request, caller: Caller) -> AsyncIterator[Sequence[Held]]:
    """The dead letters that the caller may see, the oldest first.

    One request at a time holds them: another would find the queue empty.
    """
    gateway = gateways.of(request)
    async with (
        request.app.state.dead_letters_lock,
        holding(gateway.broker, gateway.store) as held,
    ):
        yield [it for it in held if caller.sees(it.dead_letter.agent)]


def _row(it: Held) -> DeadLetterRow:
    dead_letter = it.dead_letter
    message = _message(it)
    text = ""
    if isinstance(message, Task | Trigger | Response):
        text = message.content
    elif message is None:
        text = dead_letter.body.decode("utf-8", "replace")
    return DeadLetterRow(
        id=dead_letter.id,
        agent=dead_letter.agent,
        reason=it.reason,
        kind=getattr(message, "type", ""),
        at=dead_letter.last.at,
        task_id=(message.id if message else None) or dead_letter.message_id or None,
        run_id=dead_letter.run_id or None,
        text=text if len(text) <= TEXT_CHARS else text[:TEXT_CHARS] + "…",
    )


def _message(it: Held) -> Lineage | None:
    try:
        return decode(it.dead_letter.body, it.dead_letter.content_type)
    except BadMessage:
        return None


def _matches(row: DeadLetterRow, q: str | None) -> bool:
    wanted = (q or "").casefold()
    fields = (row.text, row.reason, row.id, row.task_id or "", row.run_id or "")
    return any(wanted in it.casefold() for it in fields)
