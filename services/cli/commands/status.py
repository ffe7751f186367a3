"""`hutch status`: the whole system on one screen."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from textwrap import shorten

import typer
from pydantic import TypeAdapter

from services.cli import output
from services.cli.doctor.home import home_findings
from services.cli.options import Json
from services.cli.system_status import system_status
from shared.client.system.status import AgentStatus, ScheduleStatus, SystemStatus
from shared.settings.environment import Settings

MOST_REASONS = 5
"""The most reasons of dead letters that are listed; 'hutch dead list' has all."""

LINE = 72
"""The most characters of a reason: with its number it fits into a narrow terminal."""

COUNTS = {
    "processes": "replicas",
    "mailbox": "queued",
    "running": "running",
    "waiting": "waiting",
    "due": "due",
    "postponed": "postponed",
}
"""The columns of numbers, and the field that each shows."""


def status(
    json: Json = False,
) -> None:
    """Show agents, scheduler, gateway, schedules, dead letters, store and broker on one screen.

    Postponed runs are those of the due ones that wait after a failure, such as one of their model.
    If the broker or the store can't be read, the rest is shown and the exit code is 1.
    """
    settings = Settings.from_environment()
    found = asyncio.run(system_status(settings))
    if json:
        output.say(TypeAdapter(SystemStatus).dump_json(found).decode())
    else:
        _show(found)
    for it in home_findings(settings):
        output.remark(f"{it.severity}: {it.sentence}: {it.remedy}")
    for fault in found.faults:
        output.remark(f"hutch: {fault}")
    if found.faults:
        raise typer.Exit(1)


def _show(found: SystemStatus) -> None:
    if found.agents:
        columns = ["agent", *(f"{name}#" for name in COUNTS), ""]
        output.show_table(columns, [_cells(it) for it in found.agents])
    else:
        output.say("no agents: none in the folder, and none in the store")
    if found.scheduler is not None:
        output.say(f"\nscheduler: {_processes(found.scheduler)}")
    if found.gateway is not None:
        output.say(f"gateway: {_processes(found.gateway)}")
    if found.schedules:
        columns = ["schedule", "last tick", "", "next tick"]
        output.show_table(columns, [_schedule_cells(it) for it in found.schedules])
    for paragraph in _rest(found):
        output.say(paragraph)


def _cells(it: AgentStatus) -> list[str]:
    return [it.agent, *(_number(getattr(it, field)) for field in COUNTS.values()), _notes(it)]


def _notes(it: AgentStatus) -> str:
    notes = ["paused"] if it.paused else []
    if it.replicas and it.consumers == 0 and not it.paused:
        notes.append("takes no tasks")
    counts = (it.delayed, "delayed"), (it.parked, "parked"), (it.unsent, "unsent")
    notes += [f"{number} {what}" for number, what in counts if number]
    return ", ".join(notes)


def _schedule_cells(it: ScheduleStatus) -> list[str]:
    coming = _time(it.next) + (", late" if it.late else "")
    return [f"{it.agent}.{it.schedule}", _time(it.last), it.outcome or "", coming]


def _rest(found: SystemStatus) -> Iterator[str]:
    if approvals := sum(it.approvals or 0 for it in found.agents):
        calls = "call waits" if approvals == 1 else "calls wait"
        yield f"\n{approvals} {calls} for approval; 'hutch approvals' lists them"
    if found.limits:
        yield "\nlimits of models:"
    yield from (f"  {it}" for it in found.limits)
    if found.dead_letters is not None:
        see = "; 'hutch dead list' shows them" if found.dead_letters else ""
        yield f"\ndead letters: {found.dead_letters}{see}"
    reasons = list(found.dead_letters_by_reason.items())
    for reason, number in reasons[:MOST_REASONS]:
        yield f"  {number}: {shorten(reason, LINE, placeholder=' …')}"
    if len(reasons) > MOST_REASONS:
        yield f"  {len(reasons) - MOST_REASONS} other reasons: see 'hutch dead list'"
    if it := found.store:
        size = f"{it.size_bytes / 1e6:.1f} MB"
        yield f"\nstore: {it.url}\n  {it.version}, revision {it.revision}, {size}"
    if broker := found.broker:
        yield f"broker: {broker.url}\n  {broker.version}"
    if found.takes_messages is False:
        yield "the broker takes no messages: its memory or disk is short"


def _processes(number: int) -> str:
    return f"{number} process{'' if number == 1 else 'es'}"


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _time(at: datetime | None) -> str:
    return output.local_time(at) if at else "-"
