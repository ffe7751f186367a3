from __future__ import annotations

from services.cli.deploy.advice import advice
from shared.definitions.loader import load
from shared.definitions.model import Definition
from tests.support.repository import REPOSITORY

FOLDER = REPOSITORY / "agents"


def _advice(*agents: dict[str, object]) -> list[str]:
    described = ({"description": f"does {it['name']}"} | it for it in agents)
    found = [Definition.model_validate(fields) for fields in described]
    return advice({definition.name: definition for definition in found})


def test_the_shipped_agents_need_no_advice() -> None:
    assert advice(load(FOLDER)) == []


def test_more_than_fifteen_tools_and_workers_are_too_many() -> None:
    tools = [f"t.py:f{number}" for number in range(15)]
    (line,) = _advice({"name": "ann", "tools": tools, "workers": ["bea"]}, {"name": "bea"})
    assert line.startswith("ann has 16 tools and workers")
    assert _advice({"name": "ann", "tools": tools}) == []


def test_an_agent_should_say_what_it_is_for() -> None:
    (line,) = _advice({"name": "ann", "description": " "}, {"name": "bea"})
    assert line.startswith("ann has no description")


def test_one_agent_alone_without_tools_is_a_prompt() -> None:
    (line,) = _advice({"name": "ann"})
    assert line.endswith("a single prompt would do")


def test_one_agent_with_a_tool_or_a_schedule_is_more_than_a_prompt() -> None:
    assert _advice({"name": "ann", "tools": ["t.py:f"]}) == []
    plan = {"name": "plan", "every": "1h", "prompt": "Plan."}
    assert _advice({"name": "ann", "schedule": [plan]}) == []


def test_a_manager_that_only_passes_on_to_one_worker_is_one_too_many() -> None:
    (line,) = _advice({"name": "ann", "workers": ["bea"]}, {"name": "bea"})
    assert line.startswith("ann has bea only")
    assert _advice({"name": "ann", "workers": ["bea"]}, {"name": "bea", "tools": ["t.py:f"]}) == []


def test_roles_with_similar_descriptions_cause_advice() -> None:
    said = "Finds facts on a subject and lists them"
    (line,) = _advice(
        {"name": "ann", "description": said},
        {"name": "bea", "description": said.upper() + "."},
        {"name": "cid", "description": "Writes letters."},
    )
    assert line.startswith("ann and bea are described alike")


def _on_output(**properties: object) -> list[str]:
    output = {"type": "object", "properties": properties}
    return _advice({"name": "ann", "tools": ["t.py:f"], "output": output})


def test_an_output_that_every_strict_endpoint_takes_needs_no_advice() -> None:
    assert _on_output(total={"type": "number", "minimum": 0}) == []


def test_an_output_with_an_open_map_is_named() -> None:
    (line,) = _on_output(by_name={"type": "object", "additionalProperties": {"type": "number"}})
    assert "no strict endpoint takes (by_name: additionalProperties)" in line


def test_a_limit_of_an_output_that_no_endpoint_takes_is_named() -> None:
    (line,) = _on_output(total={"type": "number", "not": {"const": 1}})
    assert line.endswith("only checked (total: not)")


def test_a_limit_that_the_agents_kind_of_endpoint_does_not_take_is_named() -> None:
    output = {"type": "object", "properties": {"total": {"type": "number", "minimum": 0}}}
    agent: dict[str, object] = {"name": "ann", "tools": ["t.py:f"], "output": output}
    (line,) = _advice({**agent, "model": {"base_url": "https://api.groq.com/openai/v1"}})
    assert "(groq)" in line
    assert line.endswith("only checked (total: minimum)")
    assert _advice({**agent, "model": {"profile": "gemini"}}) == []
