"""The scenes of the agents in `agents/`: a manager, a group that works in parallel, a swarm."""

from __future__ import annotations

from services.cli.demo.stage import YOU, Stage
from services.cli.options import message
from shared.client.ask import publish
from shared.contract import topology
from shared.contract.messages import Status, Trigger
from shared.contract.prompts import note


async def play(stage: Stage) -> None:
    """Run all scenes in order."""
    stage.title("A manager and a worker: Bob is a tool of Alice, who calls him through RabbitMQ")
    wish = "Ask Bob to write an email for you and let me know what he has written."
    await stage.ask("alice", wish, expected="Subject:")
    stage.title("A manager and three workers: split, work in parallel, check, merge")
    await stage.ask("editor", "Write about message queues.", expected="The check:")
    await _swarm(stage)
    stage.title("A task to an unknown agent is answered too")
    refused = "no agent 'alcie'"
    await stage.ask("alcie", "Are you there?", expected=refused, ends=Status.REFUSED)
    stage.title("Meanwhile, a schedule: the scheduler has woken Alice")
    await stage.show_runs(await stage.ended("alice", "trigger"))
    stage.title("An autonomous tick: Tom, at rest, sums up what he has done")
    await stage.show_runs(await stage.ended("tom", "tick"))


async def _swarm(stage: Stage) -> None:
    stage.title("A swarm: what Tom answers, his peers remember and use; a trigger wakes Harry")
    await stage.ask("tom", "How did the backups go last week?", expected="backups")
    for peer in ("richard", "harry"):
        await stage.noted(peer, note("tom", "").strip())
    await stage.ask("richard", "What should we do?", expected="Tom reported")
    await stage.noted("harry", note("richard", "").strip())
    trigger = message(Trigger, sender=YOU, content="What is the weak point?")
    await publish(stage.broker, topology.TASKS, "harry", trigger)
    await stage.show_runs(await stage.ended("harry", "trigger"))
