"""What experience says of a folder of agents that has no fault."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations

from shared.definitions.model import Definition, Definitions

MANY_TOOLS = 15
"""Models choose worse among more; workers are tools to them too."""

SAME = 0.8
"""Share of words that two descriptions have in common: a model can't tell the roles apart."""


def advice(known: Definitions) -> list[str]:
    """One sentence each; none of it is a fault."""
    return [
        *_many_tools(known),
        *_undescribed(known),
        *_alone(known),
        *_passing(known),
        *_overlap(known),
    ]


def _many_tools(known: Definitions) -> Iterator[str]:
    for name, agent in known.items():
        number = len(agent.tools) + len(agent.workers)
        if number > MANY_TOOLS:
            yield (
                f"{name} has {number} tools and workers: models choose worse among more than "
                f"{MANY_TOOLS}; give some of them to a worker"
            )


def _undescribed(known: Definitions) -> Iterator[str]:
    for name, agent in known.items():
        if not agent.description.strip():
            yield f"{name} has no description: it is all that a manager's model sees of a worker"


def _alone(known: Definitions) -> Iterator[str]:
    if len(known) == 1:
        for name, agent in known.items():
            if _bare(agent) and not agent.swarm:
                yield f"{name} is alone, without tools or a schedule: a single prompt would do"


def _passing(known: Definitions) -> Iterator[str]:
    for name, agent in known.items():
        if len(agent.workers) == 1 and not (agent.tools or agent.schedule or agent.swarm):
            worker = agent.workers[0]
            if _bare(known[worker]):
                yield f"{name} has {worker} only, and no tools: a single agent would do for both"


def _overlap(known: Definitions) -> Iterator[str]:
    for (one, first), (other, second) in combinations(sorted(known.items()), 2):
        words = _words(first), _words(second)
        if all(words) and len(words[0] & words[1]) >= SAME * len(words[0] | words[1]):
            yield f"{one} and {other} are described alike: a model can't tell whom to ask"


def _bare(agent: Definition) -> bool:
    """It does nothing but answer."""
    return not (agent.workers or agent.tools or agent.schedule or agent.tick)


def _words(agent: Definition) -> set[str]:
    return set(re.findall(r"\w+", agent.description.casefold()))
