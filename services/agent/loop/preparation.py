"""The calls that a run makes before its first turn, to Hutch's own tools: the choice of the tools
that fit its task, and a search for passages that do.

They are steps of turn 0, so a resumed run has the same tools and passages.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import JsonValue
from pydantic_core import from_json

from services.agent.loop.calls import Answer, Tools
from services.agent.loop.journal import Journal, StepKey, parse_output
from services.agent.loop.work import Work
from shared.contract.messages import Status
from shared.definitions.knowledge import FIND_TOOLS, SEARCH_KNOWLEDGE
from shared.errors import ToolError

TURN = 0
_PLACES = {FIND_TOOLS: 1, SEARCH_KNOWLEDGE: 2}


async def prepared(work: Work, tools: Tools, journal: Journal) -> Work:
    """The work with the tools that it is offered at first, and the passages for its prompt.

    A call that fails leaves the work as it is. Raises what the journal does.
    """
    known = {it.name for it in work.tools}
    changes: dict[str, object] = {}
    if FIND_TOOLS in known and (answer := await _call(FIND_TOOLS, work, tools, journal)):
        changes["offered"] = found_tools(answer)
    in_prompt = work.definition.knowledge and work.definition.knowledge.in_prompt
    if in_prompt and SEARCH_KNOWLEDGE in known:
        changes["passages"] = await _call(SEARCH_KNOWLEDGE, work, tools, journal)
    return work.model_copy(update=changes)


def found_tools(answer: str) -> tuple[str, ...]:
    """The names in an answer of `find_tools`; none if it is no list of tools."""
    try:
        found: JsonValue = from_json(answer)
    except ValueError:
        return ()
    items: Sequence[JsonValue] = found if isinstance(found, list) else ()
    return tuple(str(it["name"]) for it in items if isinstance(it, dict) and "name" in it)


async def _call(name: str, work: Work, tools: Tools, journal: Journal) -> str:
    key = StepKey(TURN, _PLACES[name])
    recorded = journal.recorded(key, "tool", name)
    if recorded is not None:
        answer = parse_output(Answer, key, recorded)
    else:
        await journal.begin(key)
        query = work.message.prompt or work.definition.preamble
        try:
            answer = Answer(content=await tools.call(key, name, {"query": query}))
        except ToolError as error:
            answer = Answer(content="", status=Status.FAILED, detail=str(error))
        await journal.record(key, "tool", name, answer.output())
    return answer.content
