"""The things that need a person, worst first. None of them says that all is well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from services.gateway.system.observation import Observed
from shared.client.system.status import AgentStatus
from shared.store.queries.stuck import LATE_S

Kind = Literal[
    "store",
    "broker",
    "fault",
    "no_process",
    "dead_owner",
    "no_scheduler",
    "late_schedule",
    "late",
    "dead_letters",
    "approval",
    "postponed",
    "limit",
    "unsent",
    "paused",
]


class Attention(BaseModel):
    """Something that a person should look at."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    agent: str | None = Field(description="null: it concerns the whole system")
    count: int
    sentence: str
    view: str = Field(description="the path of the page that shows it")


def attention(
    observed: Observed, faults: Mapping[str, str], sees: Callable[[str], bool], *, all_agents: bool
) -> list[Attention]:
    """`faults` are those of the agents' files. `all_agents`: the caller may see what concerns no
    single agent."""
    found = [it for it in _of_agents(observed, faults) if sees(it.agent or "")]
    if all_agents:
        found += _of_system(observed)
    order = get_args(Kind)
    return sorted(found, key=lambda it: order.index(it.kind))


def _of_system(observed: Observed) -> Iterator[Attention]:
    status = observed.status
    for fault in status.faults:
        kind: Kind = "broker" if "broker" in fault else "store"
        yield Attention(kind=kind, agent=None, count=1, sentence=_sentence(fault), view="/")
    if status.takes_messages is False:
        sentence = "The broker takes no messages: its memory or disk is short."
        yield Attention(kind="broker", agent=None, count=1, sentence=sentence, view="/")
    if status.schedules and status.scheduler == 0:
        yield Attention(
            kind="no_scheduler",
            agent=None,
            count=len(status.schedules),
            sentence="No scheduler runs: nothing wakes agents at the times of their schedules.",
            view="/schedules",
        )
    for it in status.limits:
        if it.longest_s >= LATE_S:
            sentence = _sentence(str(it))
            yield Attention(
                kind="limit", agent=None, count=it.runs, sentence=sentence, view="/runs?status=due"
            )
    if number := status.dead_letters:
        waits = "dead letter waits" if number == 1 else "dead letters wait"
        yield Attention(
            kind="dead_letters",
            agent=None,
            count=number,
            sentence=f"{number} {waits} for a decision.",
            view="/dead-letters",
        )


def _of_agents(observed: Observed, faults: Mapping[str, str]) -> Iterator[Attention]:
    for name, fault in faults.items():
        sentence = f"The file of {name} has a fault: {fault.splitlines()[0]}."
        yield Attention(
            kind="fault", agent=name, count=1, sentence=sentence, view=f"/agents/{name}"
        )
    for it in observed.status.agents:
        yield from _of_agent(it, observed)
    for schedule in observed.status.schedules:
        if schedule.late and observed.status.scheduler:
            yield Attention(
                kind="late_schedule",
                agent=schedule.agent,
                count=1,
                sentence=f"The schedule {schedule.agent}.{schedule.schedule} is late, although a "
                "scheduler runs: it read the files at its start, so restart it.",
                view="/schedules",
            )


def _of_agent(it: AgentStatus, observed: Observed) -> Iterator[Attention]:
    name = it.agent

    def item(kind: Kind, count: int, sentence: str, view: str) -> Attention:
        return Attention(kind=kind, agent=name, count=count, sentence=sentence, view=view)

    open_runs = sum(number or 0 for number in (it.due, it.running, it.waiting))
    work = (it.queued or 0) + open_runs
    if it.paused:
        holds = f": {_counted(work, 'task')} {_wait(work)}" if work else ""
        yield item("paused", work, f"{name} is paused{holds}.", f"/agents/{name}")
    elif it.replicas == 0 and work:
        sentence = f"No process of {name} runs: {_counted(work, 'task')} {_wait(work)}."
        yield item("no_process", work, sentence, f"/agents/{name}")
    elif late := observed.late.get(name, 0):
        sentence = (
            f"{_counted(late, 'run')} of {name} {_wait(late)} for more than a minute to start."
        )
        yield item("late", late, sentence, f"/runs?agent={name}&status=due")
    if it.replicas and (dead := observed.abandoned.get(name, 0)):
        sentence = f"{_counted(dead, 'run')} of {name} had a process that has died."
        yield item("dead_owner", dead, sentence, f"/runs?agent={name}&status=running")
    if it.approvals:
        sentence = f"{_counted(it.approvals, 'call')} of {name} {_wait(it.approvals)} for approval."
        yield item("approval", it.approvals, sentence, f"/approvals?agent={name}")
    if it.postponed:
        sentence = (
            f"{_counted(it.postponed, 'run')} of {name} {_wait(it.postponed)} after a failure, "
            "such as one of the model's endpoint, and will be tried again."
        )
        yield item("postponed", it.postponed, sentence, f"/runs?agent={name}&status=due")
    if it.unsent and not it.replicas:
        messages = _counted(it.unsent, "message")
        sentence = f"{messages} of {name} {_wait(it.unsent)} for a process that sends them."
        yield item("unsent", it.unsent, sentence, f"/agents/{name}")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _wait(number: int) -> str:
    return "waits" if number == 1 else "wait"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."
