"""`hutch show`: one run with all its texts, and the runs that it has caused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

import typer
from pydantic_core import to_json
from rich.tree import Tree

from services.cli import approval_text, output
from services.cli.broker import opened_broker
from services.cli.options import Json
from services.cli.places import store_place
from services.cli.store import has_dead_owner, only_run, opened_store
from services.cli.whereabouts import whereabouts
from shared.client.costs import Cost, Costs, read_costs
from shared.client.dead_letters import remedies
from shared.contract.messages import Budget, Response, Status, Task, Trigger
from shared.contract.priority import Priority
from shared.contract.rows import message_of, output_of, response_of
from shared.errors import DamagedRow, HutchError
from shared.settings.environment import Settings
from shared.store import Store
from shared.store.queries import reports
from shared.store.queries.approvals import ApprovalFilter, listed
from shared.store.queries.reports import Row
from shared.store.queries.texts import DoneStep, Texts, run_texts
from shared.store.queries.timeline import MarkRow, marks_of
from shared.store.runs.approvals import Approval
from shared.store.runs.files import StoredFile, files_of
from shared.store.runs.marks import MarkKind
from shared.store.schema import RunState

OWNED = (RunState.RUNNING, RunState.WAITING)
"""A run in another state has no process."""
MOST_APPROVALS = 1_000
ARGUMENTS_CHARS = 200
"""Characters shown of one call's arguments; `--json` prints all of them."""


def show(
    run: Annotated[
        str,
        typer.Argument(
            help="A run's id or its beginning, or the id of a task, a trigger or a schedule's tick."
        ),
    ],
    json: Json = False,
) -> None:
    """Show a run: its task, its steps, its response, and the runs that it has caused.

    The id of a broadcast shows the runs of all members. A message that no agent has taken yet has
    no run: why it has not been taken is shown then.
    """
    found, places = asyncio.run(_read(Settings.from_environment(), run, advised=not json))
    if json:
        fields: list[dict[str, object]] = [it.json() for it in found]
        printed = fields[0] if len(fields) == 1 else fields
        output.say(to_json(printed if found else {"run": None, "not_taken": places}).decode())
        return
    for place in places:
        output.say(place)
    for number, it in enumerate(found):
        if number:
            output.say("\n")
        it.print()


@dataclass(frozen=True)
class _Found:
    """A run with its texts, and the runs that it has caused."""

    row: Row
    texts: Texts
    below: Sequence[Row]
    costs: Costs
    condition: str = ""
    """What is to be said after its status."""
    commands: Sequence[str] = ()
    """What an operator can type about it."""
    marks: Sequence[MarkRow] = ()
    approvals: Sequence[Approval] = ()
    """Its requests for approval, and those of the runs below it."""
    files: Sequence[StoredFile] = ()
    """The files in the results of its tools."""

    def json(self) -> dict[str, object]:
        cost = _cost_fields(self.row, self.texts, self.below, self.costs)
        marks = [it._asdict() for it in self.marks]
        found = {"run": self.row, "texts": self.texts, "below": self.below, "cost": cost}
        return found | {
            "marks": marks,
            "approvals": [approval_text.fields(it) for it in self.approvals],
            "files": self.files,
        }

    def print(self) -> None:
        for paragraph in paragraphs(self.row, self.texts, self.costs, self.condition):
            output.say(paragraph)
        for it in self.approvals:
            output.say(f"\n{approval_text.paragraph(it)}")
        if self.files:
            kept = [f"{it.digest}  {it.media_type}, {it.size} bytes" for it in self.files]
            output.say("\n".join(["\nfiles, which the gateway's API returns", *kept]))
        if self.marks:
            output.say("\n".join(["\nits processes", *map(_mark, self.marks)]))
        if self.below:
            output.say("\nruns")
            output.show(_tree(self.row, self.below, self.costs))
        if self.commands:
            output.say("\n".join(["\nnext: it is a dead letter", *self.commands]))


async def _read(
    settings: Settings, key: str, *, advised: bool
) -> tuple[Sequence[_Found], Sequence[str]]:
    """The runs that the id means; if there is none, sentences on the message with this id.

    `advised`: also whether its process lives, and what to do about its dead letter.
    """
    async with opened_store(settings) as store:
        rows = await store.read(partial(reports.find, key=key))
        if not rows and (places := await whereabouts(settings, store, key)):
            return [], [it.sentence for it in places]
        found = []
        for row in _meant(key, rows, store_place(settings, f"show {key}")):
            texts = await store.read(partial(run_texts, run_id=row.run_id))
            all_runs = await store.read(partial(reports.family, root_id=row.root_id))
            costs = await read_costs(store, settings, [row.root_id])
            below = descendants(row, all_runs)
            alive = not advised or row.status not in OWNED
            alive = alive or not await has_dead_owner(store, row.run_id)
            condition = "" if alive else "; its process has died, another takes it over"
            commands = await _commands(settings, store, row) if advised else ()
            marks = await store.read(partial(marks_of, run_id=row.run_id))
            of_tree = ApprovalFilter(pending=False, root_id=row.root_id)
            asked = await store.read(partial(listed, wanted=of_tree, limit=MOST_APPROVALS))
            shown = {it.run_id for it in (row, *below)}
            approvals = [it for it in asked if it.run_id in shown]
            files = await store.read(partial(files_of, run_id=row.run_id))
            found.append(
                _Found(row, texts, below, costs, condition, commands, marks, approvals, files)
            )
        return found, []


async def _commands(settings: Settings, store: Store, row: Row) -> Sequence[str]:
    """Those for the run's dead letter; none if it has none, or if the broker can't be read."""
    if row.status != Status.FAILED:
        return ()
    try:
        async with opened_broker(settings) as broker:
            return await remedies.of_run(broker, store, row.run_id)
    except HutchError:
        return ()


def _mark(mark: MarkRow) -> str:
    what = {
        MarkKind.STARTED: f"taken by {mark.instance}",
        MarkKind.TAKEN_OVER: f"taken over by {mark.instance}; {mark.reason} had died",
        MarkKind.POSTPONED: f"postponed by {mark.instance}: {mark.reason}",
        MarkKind.HANDED_OVER: f"handed over by {mark.instance}",
        MarkKind.REPLAYED: "replayed",
        MarkKind.PARKED: f"parked by {mark.instance}: waits for {mark.reason}",
    }
    known = MarkKind(mark.kind) if mark.kind in set(MarkKind) else None
    at = output.local_time(datetime.fromtimestamp(mark.at, UTC))
    return f"{at} {what[known] if known else mark.kind}"


def _meant(key: str, rows: Sequence[Row], where: str) -> Sequence[Row]:
    """All runs of one message, or the only run; raises `HutchError` as `only_run` does."""
    of_one_message = len({row.task_id for row in rows}) == 1
    is_run = any(row.run_id.startswith(key) for row in rows)
    return rows if of_one_message and not is_run else [only_run(key, rows, where)]


def descendants(row: Row, all_runs: Sequence[Row]) -> Sequence[Row]:
    """The runs that a run has caused, each after the run that caused it."""
    found = [row]
    for parent in found:
        found += [it for it in all_runs if it.parent_id == parent.task_id and it not in found]
    return found[1:]


def _cost_fields(row: Row, texts: Texts, below: Sequence[Row], costs: Costs) -> dict[str, object]:
    """`in_all` is the cost of the run with all that it has caused."""
    steps = [
        {"epoch": it.epoch, "turn": it.turn, "position": it.position, **costs.step(row, it).json}
        for it in texts.steps
        if it.kind == "model"
    ]
    runs = {it.run_id: costs.run(it.run_id).json for it in (row, *below)}
    return {"steps": steps, "runs": runs, "in_all": costs.tree(row.run_id).json}


def _tree(row: Row, below: Sequence[Row], costs: Costs) -> Tree:
    top = Tree(_label(row, costs))
    branches = {row.task_id: top}
    for child in below:
        branches[child.task_id] = branches[child.parent_id or ""].add(_label(child, costs))
    return top


def _label(row: Row, costs: Costs) -> str:
    label = f"{row.agent}  {row.status}  {row.run_id[:12]}"
    cost = costs.run(row.run_id)
    return f"{label}  {cost.cell} USD" if cost.usd else label


def paragraphs(
    row: Row, texts: Texts, costs: Costs = Costs(), condition: str = ""
) -> Iterator[str]:
    """The paragraphs that show a run; a text that can't be read is shown as stored, and marked."""
    took = f" after {(row.ended_at - row.claimed_at).total_seconds():.1f} s" if row.ended_at else ""
    took = took or output.ahead(row.due_at)
    yield f"run {row.run_id} of {row.agent}, for {row.kind} {row.task_id}"
    yield f"claimed {output.local_time(row.claimed_at)}; {row.status}{took}{condition}"
    if row.attempts:
        died = "1 process has" if row.attempts == 1 else f"{row.attempts} processes have"
        yield f"{died} died on it since its last finished step"
    yield from (f"damaged: {it.damage}" for it in (row, texts) if it.damage)
    message = None
    try:
        message = message_of(texts.message)
    except DamagedRow as error:
        yield _damaged(error, texts.message)
    else:
        yield from _asked(message)
    if texts.notes:
        yield "\n".join(["\nnotes", *texts.notes])
    for asked, answered in texts.recalled:
        yield f"\nremembers\n{asked}\n> {answered}"
    for step in texts.steps:
        what = (
            step.kind if step.kind == "model" and step.position == 0 else f"{step.kind} {step.name}"
        )
        if step.kind == "model" and (cost := costs.step(row, step)).usd:
            what += f", {cost.cell} USD"
        yield f"\nturn {step.turn}: {what}\n{_output(step)}"
    if texts.response:
        yield from _answered(texts.response, message.budget if message else None)
    yield from _cost(costs.run(row.run_id), costs.tree(row.run_id))
    if texts.detail:
        yield f"\ndetail\n{texts.detail}"


def _asked(message: Task | Trigger) -> Iterator[str]:
    if message.session:
        yield f"session {message.session}"
    if message.not_before:
        yield f"not before {output.local_time(message.not_before)}"
    if message.priority is Priority.BACKGROUND:
        yield f"priority {message.priority}"
    if message.budget:
        limits = message.budget.model_dump(exclude_none=True).items()
        given = ", ".join(f"{limit} {name.replace('_', ' ')}" for name, limit in limits)
        yield f"budget: {given or 'no limit'}"
    yield f"\n{message.type}\n{message.content or '(no text)'}"
    if message.type == "task" and message.context:
        yield f"\ncontext\n{message.context}"


def _cost(own: Cost, in_all: Cost) -> Iterator[str]:
    """The costs, unless no call has a price, as with the scripted model."""
    if own.usd:
        yield f"\ncost: {own.sentence}"
    if in_all.usd and in_all != own:
        yield f"\ncost with the runs that it has caused: {in_all.sentence}"


def _answered(stored: str, budget: Budget | None) -> Iterator[str]:
    try:
        response = response_of(stored)
    except DamagedRow as error:
        yield _damaged(error, stored)
        return
    spent = response.usage
    yield (
        f"\nresponse: {response.status}; {spent.model_calls} model calls, "
        f"{spent.input_tokens} tokens in, {spent.output_tokens} out\n{_content(response)}"
    )
    if budget:
        yield output.spent(budget, spent)


def _content(response: Response) -> str:
    if response.data is None:
        return response.content
    return to_json(response.data, indent=2).decode()


def _output(step: DoneStep) -> str:
    """A model's text and calls, or a tool's, worker's or check's result, and why it failed."""
    try:
        done = output_of(step.output)
    except DamagedRow as error:
        return _damaged(error, step.output).lstrip()
    calls = [f"calls {call.name} {call.arguments[:ARGUMENTS_CHARS]}" for call in done.tool_calls]
    verdict = ": ".join(filter(None, [done.outcome, done.reason]))
    parts = [verdict, done.text, done.content or done.refusal, *calls]
    parts += [done.detail and f"detail\n{done.detail}", step.damage and f"damaged: {step.damage}"]
    return "\n".join(filter(None, parts))


def _damaged(error: Exception, stored: str) -> str:
    return f"\ndamaged: {error}\n{stored}"
