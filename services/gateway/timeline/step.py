"""One step of a run with its input and output.

A step stores its output only. The input of a tool or worker is in the reply that called it; what a
model was sent is rebuilt from the run's frozen inputs and its earlier steps. Where a history had
been shortened, the rebuilt request is longer than the one that was sent, and says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from pydantic_core import from_json, to_json

from services.gateway.timeline.snapshot import Snapshot, snapshot_of
from shared.client.costs import cost_of
from shared.contract.messages import Usage
from shared.contract.prompts import WOKEN, dated, system_text
from shared.contract.rows import Output, message_of, output_of
from shared.errors import DamagedRow
from shared.settings.environment import Settings
from shared.store import Store
from shared.store.queries import timeline
from shared.store.queries.model_calls import ModelCall
from shared.store.queries.reports import Row
from shared.store.queries.texts import DoneStep, Texts, done_steps, run_texts

MOST_CHARS = 256 * 1024
"""The longest input or output, unless all of it is asked for."""
TURNS = 50
"""The turns that are read at once, from the latest back."""
CHECK = "check"
"""The name of a step in which a model checks the task or the answer."""
SHORTEN = "shorten"
"""The name of the step that leaves out a part of a history."""
LEFT_OUT = "left out here: earlier messages of the run; ask for all with ?full=1"


class StepView(BaseModel):
    """A finished step."""

    model_config = ConfigDict(frozen=True)

    kind: str
    name: str
    input: JsonValue = Field(description="the request, or the arguments; text if it is no JSON")
    output: JsonValue
    input_truncated: bool
    output_truncated: bool
    usage: Usage | None
    cost: float | None = Field(description="in USD; null: no price is known")
    finished_at: datetime
    seconds: float | None


@dataclass(frozen=True)
class _Asked:
    """The parts of a run that are read for one step of it."""

    row: Row
    texts: Texts
    body: str
    """The stored definition."""
    steps: Sequence[DoneStep]
    """The steps of the latest turns up to that of the step, in order."""
    all_turns: bool


async def read_step(
    store: Store, settings: Settings, row: Row, epoch: int, turn: int, position: int, *, full: bool
) -> StepView | None:
    """The step at a place; None if none has finished there."""
    found = await store.read(lambda db: done_steps(db, row.run_id, turn, turn))
    step = next((it for it in found if (it.epoch, it.position) == (epoch, position)), None)
    if step is None:
        return None
    texts = await store.read(lambda db: run_texts(db, row.run_id, with_steps=False))
    bodies = await store.read(lambda db: timeline.bodies(db, [texts.definition]))
    body = bodies.get(texts.definition, "")
    steps, first = found, turn
    if _has_request(step):
        steps, first = await _up_to(store, row.run_id, found, turn, full=full)
    asked = _Asked(row, texts, body, steps, first <= 1)
    return await asyncio.to_thread(_view, asked, step, settings, full=full)


async def _up_to(
    store: Store, run_id: str, of_turn: Sequence[DoneStep], turn: int, *, full: bool
) -> tuple[Sequence[DoneStep], int]:
    """The latest steps up to this turn, and the first turn that was read."""
    steps, first = list(of_turn), turn
    while first > 1 and (full or sum(len(it.output) for it in steps) < MOST_CHARS):
        last, first = first - 1, 1 if full else max(1, first - TURNS)
        earlier = partial(done_steps, run_id=run_id, first=first, last=last)
        steps = [*await store.read(earlier), *steps]
    return steps, first


def _has_request(step: DoneStep) -> bool:
    """Whether the step is a model call of a turn, and not one that checks a text."""
    return step.kind == "model" and step.name != CHECK


def _view(asked: _Asked, step: DoneStep, settings: Settings, *, full: bool) -> StepView:
    given, left_out = (
        _request(asked, step, full=full) if _has_request(step) else (_arguments(asked, step), False)
    )
    sent, sent_cut = _limited(given, full=full)
    output, output_cut = _limited(_json(step.output), full=full)
    usage = usage_of(step.output)
    at = step.finished_at.timestamp()
    place = asked.row.run_id, step.epoch, step.turn, step.position
    is_model = step.kind == "model"
    cost = cost_of(ModelCall(*place, step.output, at, asked.body), settings) if is_model else None
    return StepView(
        kind=step.kind,
        name=step.name,
        input=sent,
        output=output,
        input_truncated=sent_cut or left_out,
        output_truncated=output_cut,
        usage=usage,
        cost=cost.usd if cost and (cost.usd or not cost.unpriced) else None,
        finished_at=step.finished_at,
        seconds=step.seconds,
    )


def _request(asked: _Asked, step: DoneStep, *, full: bool) -> tuple[JsonValue, bool]:
    """The request to a model: messages, and the names of the tools; and whether messages are left
    out here."""
    snapshot = snapshot_of(asked.body)
    opening = list(_opening(asked, snapshot))
    read = list(_turns(asked, step))
    turns = read if full else _newest(read, MOST_CHARS * 3 // 4)
    cut = not asked.all_turns or len(turns) < len(read)
    between = [_message("note", LEFT_OUT)] if cut else []
    request: dict[str, JsonValue] = {
        "messages": [*opening, *between, *turns],
        "tools": [it.name for it in (*snapshot.tools, *snapshot.workers)],
    }
    if any(it.name == SHORTEN and it.position < 0 for it in asked.steps):
        request["note"] = "the model was sent a shortened history: see the steps named 'shorten'"
    return request, cut


def _opening(asked: _Asked, snapshot: Snapshot) -> Iterator[JsonValue]:
    texts, definition = asked.texts, snapshot.definition
    quotes = bool(snapshot.tools or snapshot.workers or definition.swarm)
    if system := system_text(definition.preamble, texts.notes, quotes=quotes):
        yield _message("system", system)
    for said, answered in texts.recalled:
        yield _message("user", said or WOKEN)
        yield _message("assistant", answered)
    starts_at = asked.row.claimed_at
    try:
        message = message_of(texts.message)
    except DamagedRow as error:
        yield _message("note", str(error))
        return
    if message.not_before:
        starts_at = max(starts_at, message.not_before)
    yield _message("user", dated(message.prompt or WOKEN, starts_at.astimezone(UTC)))


def _turns(asked: _Asked, step: DoneStep) -> Iterator[JsonValue]:
    """The replies before a step, each with the answers to its calls."""
    outputs = {(it.turn, it.position): it for it in asked.steps}
    for turn in sorted({it.turn for it in asked.steps if it.turn < step.turn}):
        if (reply := outputs.get((turn, 0))) is None:
            continue
        said = _output(reply)
        calls: list[JsonValue] = [
            {"name": it.name, "arguments": _json(it.arguments)} for it in said.tool_calls
        ]
        answer: dict[str, JsonValue] = {"role": "assistant", "content": said.content}
        yield answer | {"tool_calls": calls} if calls else answer
        for position, call in enumerate(said.tool_calls, 1):
            done = outputs.get((turn, position))
            content = _output(done).content if done else "(answered without a call)"
            yield {"role": "tool", "name": call.name, "content": content}
        if not calls:
            yield _message("note", "it was asked to answer, or to correct its answer")
    if step.name == "conclude":
        yield _message("note", "it was asked for its best answer, without tools")


def _newest(messages: Sequence[JsonValue], most: int) -> list[JsonValue]:
    """The last messages that fit; at least one."""
    kept: list[JsonValue] = []
    for it in reversed(messages):
        most -= len(to_json(it))
        if most < 0 and kept:
            break
        kept.append(it)
    return kept[::-1]


def _arguments(asked: _Asked, step: DoneStep) -> JsonValue:
    """The arguments of a call, from the reply that made it."""
    reply = next((it for it in asked.steps if (it.turn, it.position) == (step.turn, 0)), None)
    calls = _output(reply).tool_calls if reply else ()
    return _json(calls[step.position - 1].arguments) if 0 < step.position <= len(calls) else None


def _message(role: str, content: str) -> JsonValue:
    return {"role": role, "content": content}


def _output(step: DoneStep) -> Output:
    try:
        return output_of(step.output)
    except DamagedRow:
        return Output(content=step.output)


class _Used(BaseModel):
    usage: Usage | None = None


def usage_of(output: str) -> Usage | None:
    try:
        return _Used.model_validate_json(output).usage
    except ValidationError:
        return None


def _json(text: str) -> JsonValue:
    try:
        read: JsonValue = from_json(text, allow_inf_nan=False)
    except ValueError:
        return text
    return read


def _limited(value: JsonValue, *, full: bool) -> tuple[JsonValue, bool]:
    """The value, or the beginning of its text if it is too long; and whether it was cut."""
    text = value if isinstance(value, str) else to_json(value).decode()
    if full or len(text) <= MOST_CHARS:
        return value, False
    return text[:MOST_CHARS], True
