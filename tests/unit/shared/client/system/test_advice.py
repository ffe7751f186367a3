from __future__ import annotations

from pathlib import Path

import pytest

from shared.client.system.advice import advice, tool_advice
from shared.definitions.loader import load
from shared.definitions.model import Definition
from shared.settings.environment import Settings
from shared.settings.limits import ModelLimits
from tests.support.repository import REPOSITORY
from tests.support.tool_file import tool

FOLDER = REPOSITORY / "agents"


SETTINGS = Settings(OPENAI_MODEL="m", OPENAI_API_KEY="k")


def _advice(*agents: dict[str, object], settings: Settings = SETTINGS) -> list[str]:
    texts = ({"description": f"does {it['name']}", "preamble": "Be brief."} | it for it in agents)
    found = [Definition.model_validate(fields) for fields in texts]
    return advice({definition.name: definition for definition in found}, settings)


def test_the_shipped_agents_need_no_advice() -> None:
    assert advice(load(FOLDER), SETTINGS) == []


def test_more_than_fifteen_tools_and_workers_are_too_many() -> None:
    tools = [f"t.py:f{number}" for number in range(15)]
    (line,) = _advice({"name": "ann", "tools": tools, "workers": ["bea"]}, {"name": "bea"})
    assert line.startswith("ann has 16 tools and workers")
    assert _advice({"name": "ann", "tools": tools}) == []
    many = [f"t.py:f{number}" for number in range(21)]
    (line,) = _advice({"name": "ann", "tools": many})
    assert "each run is offered those that fit its task" in line


def test_an_agent_should_say_what_it_is_for() -> None:
    (line,) = _advice({"name": "ann", "description": " "}, {"name": "bea"})
    assert line.startswith("ann has no description")


def test_an_agent_should_have_instructions() -> None:
    (line,) = _advice({"name": "ann", "preamble": " "}, {"name": "bea"})
    assert line.startswith("ann has no preamble")


@pytest.mark.parametrize("on_peer", ["react", "remember"])
def test_on_peer_needs_a_swarm(on_peer: str) -> None:
    (line,) = _advice({"name": "ann", "on_peer": on_peer}, {"name": "bea"})
    assert line.startswith("ann has on_peer, but no swarm")
    assert _advice({"name": "ann", "on_peer": on_peer, "swarm": "office"}, {"name": "bea"}) == []


def test_a_key_that_is_not_set_is_named_with_its_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANNS_KEY", raising=False)
    ann: dict[str, object] = {"name": "ann", "model": {"api_key_env": "ANNS_KEY"}}
    (line,) = _advice(ann, {"name": "bea"})
    assert line == (
        "ann can't start with these settings: "
        "agent 'ann' wants its key from ANNS_KEY, which is not set"
    )
    monkeypatch.setenv("ANNS_KEY", "k")
    assert _advice(ann, {"name": "bea"}) == []


def test_agents_that_lack_the_same_setting_have_one_line() -> None:
    (line,) = _advice({"name": "ann"}, {"name": "bea"}, settings=Settings(OPENAI_API_KEY="k"))
    assert line.startswith("ann, bea can't start with these settings: agent 'ann' names no model")


def test_a_tool_should_have_a_docstring_and_be_a_function(tmp_path: Path) -> None:
    source = (
        'def add(a: int) -> int:\n    """Add one."""\n    return a + 1\n'
        "def bare(a: int) -> int:\n    return a\n"
        'class Order:\n    """An order."""\n'
    )
    bare, order = tool_advice(
        "ann", [tool(tmp_path, source, name) for name in ("add", "Order", "bare")]
    )[::-1]
    assert bare.startswith("ann's tool bare has no docstring")
    assert order.startswith("ann's tool Order is a class")


def test_what_a_model_never_sees_or_an_endpoint_refuses_causes_advice(tmp_path: Path) -> None:
    source = f'''
import threading
def lookup(number: int, lock: threading.Event | None = None) -> str:
    """{"a" * 1100}

    Args:
        nr: the number
    """
'''
    advice = "\n".join(tool_advice("ann", [tool(tmp_path, source)]))
    assert "ann's tool lookup never gets 'lock' from a model" in advice
    assert "has a description of 1100 characters: OpenAI refuses more than 1024" in advice
    assert "ann's tool lookup has no parameter 'nr', which its docstring describes" in advice
    assert advice.count("\n") == 2


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


def test_a_limit_that_applies_to_no_model_is_named() -> None:
    limits = dict.fromkeys(("gpt-5*", "gpt-5-mini", "nano", "gtp-6", "*"), ModelLimits())
    settings = SETTINGS.model_copy(update={"model": "gpt-5", "limits": limits})
    guarded = {"output": [{"model": "nano", "check": "It is short."}]}
    lines = _advice({"name": "ann", "guardrails": guarded}, {"name": "bea"}, settings=settings)
    named = [line.split("'")[1] for line in lines if "HUTCH_LIMITS" in line]
    assert named == ["gpt-5-mini", "gtp-6"]
    assert "the agents use gpt-5, nano" in lines[0]


def test_limits_cause_no_advice_while_the_model_of_an_agent_is_not_known() -> None:
    limits = {"gtp-6": ModelLimits()}
    settings = SETTINGS.model_copy(update={"model": None, "limits": limits})
    assert not any("HUTCH_LIMITS" in it for it in _advice({"name": "ann"}, settings=settings))
