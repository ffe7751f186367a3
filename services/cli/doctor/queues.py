"""The exchanges and queues on the broker, compared with those that the agents declare."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from services.cli.doctor.finding import Area, Finding, advice, counted, fault, not_seen
from shared.broker.connection import Broker
from shared.contract import topology
from shared.contract.entities import Exchange, Queue
from shared.contract.topology import mailbox_name, swarm_queue_name
from shared.definitions.model import Definitions

UNKNOWN_QUEUES = not_seen(
    Area.QUEUES,
    "queues of names that the store does not know: AMQP can't list queues",
    "'rabbitmqctl list_queues name messages consumers' lists them; reply queues without a process "
    "expire after 30 minutes, swarm queues after 7 days",
)


async def argument_findings(broker: Broker, url: str, agents: Definitions) -> list[Finding]:
    """Queues that exist with other arguments, that are missing, or that can't be compared."""
    found: list[Finding] = []
    missing: list[str] = []
    compared = True
    for it in _declared(agents):
        state = await broker.inspect(it)
        if not state.exists and it.name == topology.TASKS:
            return [
                advice(
                    Area.QUEUES,
                    f"the broker has no exchange '{topology.TASKS}': no agent was started on it",
                    "start the agents, or correct the host and the vhost in RABBITMQ_URL",
                )
            ]
        if not state.exists:
            missing.append(f"{'queue' if isinstance(it, Queue) else 'exchange'} '{it.name}'")
        elif state.difference:
            sentence, _, remedy = state.difference.partition("): ")
            found.append(
                fault(
                    Area.QUEUES,
                    f"{sentence})",
                    f"{remedy}; stop its agent first, and let it run empty: its messages are lost",
                )
            )
        compared &= state.compared or not state.exists
    if missing:
        found.append(
            advice(
                Area.QUEUES,
                f"the broker has no {', no '.join(missing)}",
                "start their agents: each process declares what it needs",
            )
        )
    if not compared:
        user = urlsplit(url).username or "guest"
        found.append(
            not_seen(
                Area.QUEUES,
                f"arguments of queues: the user '{user}' may not declare them",
                "set RABBITMQ_URL to a user with every right, and run this again",
            )
        )
    return found


async def orphan_findings(
    broker: Broker, agents: Collection[str], known: Collection[str]
) -> list[Finding]:
    """Queues of agents that the store knows, that have no file any more."""
    found: list[Finding] = []
    for name in sorted(set(known) - set(agents) - {topology.SCHEDULER, topology.GATEWAY}):
        for queue in (mailbox_name(name), swarm_queue_name(name)):
            depth = await broker.depth(queue)
            if depth is not None and not depth.consumers:
                found.append(
                    advice(
                        Area.QUEUES,
                        f"the queue '{queue}' has {counted(depth.messages, 'message')}, but no "
                        f"file here is the agent '{name}', and no process consumes it",
                        f"give the agent its file again, or 'rabbitmqctl delete_queue {queue}'",
                    )
                )
    return found


def dead_letter_findings(number: int | None) -> list[Finding]:
    if not number:
        return []
    return [
        advice(
            Area.QUEUES,
            f"{counted(number, 'dead letter')} {'waits' if number == 1 else 'wait'} for a decision",
            "'hutch dead list' has the reasons, and 'hutch dead show ID' what to type",
        )
    ]


def _declared(agents: Definitions) -> list[Exchange | Queue]:
    """What all processes share, and each agent's queues; `TASKS` is the first."""
    needs = topology.system()
    for name, agent in sorted(agents.items()):
        needs += topology.mailbox(name)
        if agent.swarm:
            needs += topology.swarm(agent.swarm, name)
    entities: tuple[Exchange | Queue, ...] = (*needs.exchanges, *needs.queues)
    by_name = {it.name: it for it in entities}  # agents share the exchange of their swarm
    return sorted(by_name.values(), key=lambda it: it.name != topology.TASKS)
