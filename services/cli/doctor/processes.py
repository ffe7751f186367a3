"""Agents without a process, and work that waits for one."""

from __future__ import annotations

from collections.abc import Iterator

from services.cli.doctor.finding import Area, Finding, advice, fault
from services.cli.system_status import AgentStatus, SystemStatus


def process_findings(status: SystemStatus) -> Iterator[Finding]:
    if status.store is None:
        return
    for agent in status.agents:
        yield from _agent(agent)
    waking = sorted({it.agent for it in status.schedules})
    if waking and not status.scheduler:
        yield fault(
            Area.PROCESSES,
            f"no scheduler runs: nothing wakes {', '.join(waking)} at the times of the schedules",
            "start it: 'hutch up', or the service 'scheduler' of compose or Kubernetes",
        )
    for it in status.schedules:
        if it.late and status.scheduler:
            yield fault(
                Area.PROCESSES,
                f"the schedule '{it.agent}.{it.schedule}' is late, although a scheduler runs",
                "read the scheduler's log: it may have older files, or a fault in this schedule",
            )


def _agent(it: AgentStatus) -> Iterator[Finding]:
    open_runs = sum(number or 0 for number in (it.due, it.running, it.waiting))
    if it.paused:
        yield advice(
            Area.PROCESSES,
            f"'{it.agent}' is paused, with {it.queued or 0} messages and {open_runs} open runs",
            f"'hutch unpause {it.agent}', when the reason is gone",
        )
    if it.replicas:
        return
    start = f"start it: 'hutch up {it.agent}', or its service in compose or Kubernetes"
    if it.queued or open_runs or it.unsent:
        yield fault(
            Area.PROCESSES,
            f"no process of '{it.agent}' runs, and {it.queued or 0} messages, {open_runs} open "
            f"runs and {it.unsent or 0} unsent messages wait for one",
            start,
        )
    else:
        yield advice(Area.PROCESSES, f"no process of '{it.agent}' runs", start)
