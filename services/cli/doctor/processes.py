"""Agents without a process, and work that waits for one."""

from __future__ import annotations

from collections.abc import Iterator

from services.cli.doctor.finding import Area, Finding, advice, counted, fault
from shared.client.system.status import AgentStatus, SystemStatus


def process_findings(status: SystemStatus) -> Iterator[Finding]:
    if status.store is None:
        return
    for agent in status.agents:
        yield from _agent(agent)
    if idle := [it.agent for it in status.agents if it.replicas == 0 and not _has_work(it)]:
        yield advice(
            Area.PROCESSES,
            f"no process of {', '.join(idle)} runs",
            f"start what is missed: 'hutch up {' '.join(idle)}', or services of compose or "
            f"Kubernetes; if it has ended, 'hutch logs {idle[0]}' or 'docker compose logs "
            f"{idle[0]}' has the reason",
        )
    for it in status.limits:
        yield advice(
            Area.PROCESSES,
            str(it),
            "wait: it is no fault; or raise the limit in HUTCH_LIMITS, if the endpoint allows more",
        )
    waking = sorted({it.agent for it in status.schedules})
    if waking and status.scheduler == 0:
        yield fault(
            Area.PROCESSES,
            f"no scheduler runs: nothing wakes {', '.join(waking)} at the times of the schedules",
            "start it: 'hutch up', or the service 'scheduler' of compose or Kubernetes",
        )
    running = {it.agent for it in status.agents if it.replicas}
    for tick in status.schedules:
        if tick.late and status.scheduler:
            yield (fault if tick.agent in running else advice)(
                Area.PROCESSES,
                f"the schedule '{tick.agent}.{tick.schedule}' is late, although a scheduler runs",
                "restart the scheduler: it reads the files at its start, and one that 'hutch up' "
                "has started for some agents serves only those; else its log has the reason",
            )


def _agent(it: AgentStatus) -> Iterator[Finding]:
    open_runs = _open_runs(it)
    waiting = f"{counted(it.queued or 0, 'message')} and {counted(open_runs, 'open run')}"
    if it.paused:
        yield advice(
            Area.PROCESSES,
            f"'{it.agent}' is paused, with {waiting}",
            f"'hutch unpause {it.agent}', when the reason is gone",
        )
    if it.parked:
        yield advice(
            Area.PROCESSES,
            f"{counted(it.parked, 'run')} of '{it.agent}' can't go on before a person decides",
            "'hutch approvals' lists the calls that wait; 'hutch approve ID' or 'hutch deny ID'",
        )
    if it.replicas != 0 or not _has_work(it):  # None: it is unknown
        return
    start = (
        f"start it: 'hutch up {it.agent}', or its service in compose or Kubernetes; if it has "
        f"ended, 'hutch logs {it.agent}' or 'docker compose logs {it.agent}' has the reason"
    )
    if it.queued or open_runs:
        yield fault(
            Area.PROCESSES, f"no process of '{it.agent}' runs: it has {waiting} to do", start
        )
    else:
        unsent = counted(it.unsent or 0, "message")
        yield fault(
            Area.PROCESSES, f"no process of '{it.agent}' runs: it has {unsent} to send", start
        )


def _open_runs(it: AgentStatus) -> int:
    return sum(number or 0 for number in (it.due, it.running, it.waiting))


def _has_work(it: AgentStatus) -> bool:
    return bool(it.queued or it.unsent or _open_runs(it))
