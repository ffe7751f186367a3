"""Advice on a folder of agents that has no fault."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import combinations

from shared.definitions.functions import Tool
from shared.definitions.knowledge import MOST_OFFERED
from shared.definitions.model import Definition, Definitions
from shared.definitions.models.model_address import model_address
from shared.definitions.models.narrowing import narrowed
from shared.definitions.models.profiles import OPENAI_URL, profile
from shared.errors import SettingsError
from shared.settings.environment import Settings
from shared.settings.mapping import first_match

MANY_TOOLS = 15
"""Models choose worse among more tools than this; workers are tools too."""

LONGEST_DESCRIPTION = 1024
"""The most characters of a tool's description that OpenAI's API takes."""

MOST_LOST = 5
"""The most parts of a schema that are listed."""

SAME = 0.8
"""The share of common words above which a model can't distinguish two descriptions."""


def advice(agents: Definitions, settings: Settings, *, models: bool = True) -> list[str]:
    """Sentences, each with one piece of advice; `models` is whether the settings' model is used.

    `agents` can leave out some that are workers of the others.
    """
    return [
        *(_without_model(agents, settings) if models else ()),
        *(_unused_limits(agents, settings) if models else ()),
        *_many_tools(agents),
        *_undescribed(agents),
        *_uninstructed(agents),
        *_without_peers(agents),
        *_alone(agents),
        *_passing(agents),
        *_overlap(agents),
        *_outputs(agents, settings.base_url or OPENAI_URL, settings.model or ""),
    ]


def _unused_limits(agents: Definitions, settings: Settings) -> Iterator[str]:
    """A name in HUTCH_LIMITS that fits no model is often misspelt, or comes after a wider one."""
    used = {it.model.name or settings.model for it in agents.values()}
    rules = (it.guardrails for it in agents.values() if it.guardrails)
    used |= {check.model for it in rules for check in (*it.input, *it.output) if check.model}
    names = sorted(filter(None, used))
    if len(names) < len(used):  # the model of an agent is not known here
        return
    applied = {found[0] for name in names if (found := first_match(settings.limits, name))}
    for pattern in settings.limits:
        if pattern not in {*applied, "*"}:
            yield (
                f"the limit of '{pattern}' in HUTCH_LIMITS applies to no model: the agents use "
                f"{', '.join(names)}, and the first name that fits applies"
            )


def tool_advice(agent: str, tools: Iterable[Tool]) -> list[str]:
    """Advice on the tools of one agent."""
    return [f"{agent}'s tool {tool.name} {advice}" for tool in tools for advice in _of_tool(tool)]


def _of_tool(tool: Tool) -> Iterator[str]:
    length = len(tool.description.strip())
    if tool.is_class:
        yield "is a class, whose call only makes an object: name a function"
    elif not length:
        yield "has no docstring: a model learns from it when to call the tool"
    if length > LONGEST_DESCRIPTION:
        yield (
            f"has a description of {length} characters: OpenAI refuses more than "
            f"{LONGEST_DESCRIPTION}; shorten its docstring, or set 'description'"
        )
    for name, fault in tool.signature.left_out.items():
        yield f"never gets '{name}' from a model, as JSON doesn't have its type: {fault}"
    for name in tool.strange:
        yield f"has no parameter '{name}', which its docstring describes"


def _without_model(agents: Definitions, settings: Settings) -> Iterator[str]:
    """One line for all agents whose start is refused for the same reason."""
    refused: dict[str, tuple[str, list[str]]] = {}
    for name, agent in agents.items():
        try:
            model_address(agent, settings)
        except SettingsError as error:
            reason = str(error)
            refused.setdefault(reason.replace(f"'{name}'", ""), (reason, []))[1].append(name)
    for reason, names in refused.values():
        yield f"{', '.join(names)} can't start with these settings: {reason}"


def _many_tools(agents: Definitions) -> Iterator[str]:
    for name, agent in agents.items():
        number = len(agent.tools) + len(agent.workers)
        if number > MOST_OFFERED:
            yield (
                f"{name} has {number} tools and workers: each run is offered those that fit its "
                "task by their descriptions, and can find the others"
            )
        elif number > MANY_TOOLS:
            yield (
                f"{name} has {number} tools and workers: models choose worse among more than "
                f"{MANY_TOOLS}; give some of them to a worker"
            )


def _undescribed(agents: Definitions) -> Iterator[str]:
    for name, agent in agents.items():
        if not agent.description.strip():
            yield f"{name} has no description: it is all that a manager's model sees of a worker"


def _uninstructed(agents: Definitions) -> Iterator[str]:
    for name, agent in agents.items():
        if not agent.preamble.strip():
            yield f"{name} has no preamble: its model gets a task without any instructions"


def _without_peers(agents: Definitions) -> Iterator[str]:
    for name, agent in agents.items():
        if "on_peer" in agent.model_fields_set and not agent.swarm:
            yield f"{name} has on_peer, but no swarm: it has no peers, so on_peer has no effect"


def _alone(agents: Definitions) -> Iterator[str]:
    if len(agents) == 1:
        for name, agent in agents.items():
            if _bare(agent) and not agent.swarm:
                yield f"{name} is alone, without tools or a schedule: a single prompt would do"


def _passing(agents: Definitions) -> Iterator[str]:
    for name, agent in agents.items():
        if len(agent.workers) == 1 and not (agent.tools or agent.schedule or agent.swarm):
            worker = agent.workers[0].name
            if worker in agents and _bare(agents[worker]):
                yield f"{name} has {worker} only, and no tools: a single agent would do for both"


def _overlap(agents: Definitions) -> Iterator[str]:
    for (one, first), (other, second) in combinations(sorted(agents.items()), 2):
        words = _words(first), _words(second)
        if all(words) and len(words[0] & words[1]) >= SAME * len(words[0] | words[1]):
            yield f"{one} and {other} are described alike: a model can't choose between them"


def _outputs(agents: Definitions, base_url: str, model: str) -> Iterator[str]:
    for name, agent in agents.items():
        if not isinstance(agent.output, dict):
            continue
        own = agent.model
        endpoint = profile(own.base_url or base_url, own.name or model, own.profile)
        narrow = narrowed(agent.output, endpoint.schemas.refused)
        lost = ", ".join(narrow.lost[:MOST_LOST])
        if not narrow.strict:
            yield (
                f"{name}'s output has parts that no strict endpoint takes ({lost}): the model is "
                "more likely to answer in another form; use objects with fixed keys"
            )
        elif lost:
            yield (
                f"{name}'s output has limits that its kind of endpoint ({endpoint.name}) doesn't "
                f"hold the model to: they are only checked ({lost})"
            )


def _bare(agent: Definition) -> bool:
    """Whether an agent only answers: it has no workers, tools, schedules or ticks."""
    return not (agent.workers or agent.tools or agent.schedule or agent.tick)


def _words(agent: Definition) -> set[str]:
    return set(re.findall(r"\w+", agent.description.casefold()))
