"""An agent's file: its fields, and the line that reports a fault."""

from datetime import timedelta
from pathlib import Path

import pytest

from shared.definitions.loader import load
from shared.definitions.model import MOST_CALLABLE, Definition, is_name
from shared.errors import SettingsError

WORKERS = ", ".join(f"w{number}" for number in range(MOST_CALLABLE + 1))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    (folder / f"{name}.yaml").write_text(text, "utf-8")


def fault(folder: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        load(folder)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_whole_file_is_understood(folder: Path) -> None:
    write(folder, "bob", "name: bob")
    write(
        folder,
        "alice",
        """
name: alice
description: A manager at FooBar Inc.
preamble: You manage Bob.
model: gpt-5
workers: [bob]
tools: [orders.py:lookup]
swarm: office
tick: 10s
schedule:
  - {name: plan, cron: "0 9 * * 1-5", timezone: Europe/London, prompt: Plan the day.}
limits: {turns: 10, depth: 4, timeout: 1h30m, concurrency: 8}
""",
    )
    alice = load(folder)["alice"]
    assert alice.model.name == "gpt-5"
    assert alice.tick == timedelta(seconds=10)
    assert alice.limits.timeout == timedelta(hours=1, minutes=30)
    assert alice.schedule[0].overlap == "skip"


def test_a_tool_is_a_function_that_must_not_run_twice_unless_the_file_says_so(
    folder: Path,
) -> None:
    tools = "[orders.py:pay, {function: 'orders.py:lookup', repeatable: true}]"
    write(folder, "bob", f"name: bob\ntools: {tools}")
    pay, lookup = load(folder)["bob"].tools
    assert (pay.function, pay.repeatable) == ("orders.py:pay", False)
    assert (lookup.function, lookup.repeatable) == ("orders.py:lookup", True)


@pytest.mark.parametrize(
    ("tools", "said"),
    [
        ("[orders.py]", "bob.yaml:2: tools.0: write FILE.py:FUNCTION, such as orders.py:lookup"),
        ("[{function: 'o.py:f', repeatble: true}]", "bob.yaml:2: tools.0.repeatble: unknown key"),
        ("[o.py:f, {function: 'o.py:f'}]", "tools: 'o.py:f' occurs twice"),
    ],
)
def test_a_fault_of_a_tool_is_named(folder: Path, tools: str, said: str) -> None:
    write(folder, "bob", f"name: bob\ntools: {tools}")
    assert said in fault(folder)


def test_a_name_is_enough(folder: Path) -> None:
    write(folder, "bob", "name: bob")
    assert load(folder) == {"bob": Definition(name="bob")}


def test_a_definition_survives_being_frozen(folder: Path) -> None:
    write(folder, "bob", "name: bob\ntick: 90s\nmodel: {name: x, base_url: 'http://localhost'}")
    bob = load(folder)["bob"]
    assert Definition.model_validate_json(bob.model_dump_json()) == bob


def test_a_models_options_survive_being_frozen(folder: Path) -> None:
    options = "api: chat, reasoning: none, temperature: 0, max_output_tokens: 9, context: 99"
    extra = "profile: vllm, extra: {service_tier: flex, metadata: {team: [a]}}"
    write(folder, "bob", f"name: bob\nmodel: {{{options}, {extra}}}")
    bob = load(folder)["bob"]
    assert bob.model.temperature == 0
    assert bob.model.extra["metadata"] == {"team": ["a"]}
    assert Definition.model_validate_json(bob.model_dump_json()) == bob


def test_options_that_a_file_does_not_name_are_not_frozen() -> None:
    """An earlier version, which knows none of them, can resume the run."""
    frozen = Definition(name="bob").model.model_dump()
    assert frozen == {"name": None, "base_url": None, "api_key_env": None}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: Bob", "bob.yaml:1: name: write a name such as bob or bob-2"),
        ("name: all", "bob.yaml:1: name: 'all' is reserved for commands"),
        ("name: scheduler", "bob.yaml:1: name: 'scheduler' is reserved"),
        ("name: bob\nworker: [x]", "bob.yaml:2: worker: unknown key; did you mean workers?"),
        ("name: bob\nlimits: {turn: 1}", "bob.yaml:2: limits.turn: unknown key"),
        ("name: bob\nlimits: {timeout: 10}", "write a duration with its unit"),
        ("name: bob\nlimits: {timeout: 0s}", "longer than zero"),
        ("name: bob\ntick: soon", "'soon' is no duration"),
        ("name: bob\nlimits: {timeout: 87600000h}", "a duration is at most 365 days"),
        (f"name: bob\ntick: {'9' * 5000}h", "is no duration"),
        ("name: bob\nlimits: {turns: true}", "limits.turns: write a whole number"),
        ("name: bob\nworkers: alice", "bob.yaml:2: workers: write a list: [alice]"),
        ("name: bob\nworkers:", "bob.yaml:2: workers: there is no value: write a list"),
        ("name: bob\nschedule: {name: a}", "bob.yaml:2: schedule: write a list: [{name: …}]"),
        ("name: bob\nlimits: 5", "bob.yaml:2: limits: write keys with values, such as {turns: …}"),
        ("name: bob\nmodel: 4.1", "bob.yaml:2: model: write a model's name in quotes, or keys"),
        ("name: on", 'bob.yaml:1: name: YAML reads on as true: quote it: "on"'),
        ("name: bob\nswarm: no", 'bob.yaml:2: swarm: YAML reads no as false: quote it: "no"'),
        ("name: bob\npreamble: 1.0", 'preamble: YAML reads 1.0 as a number: quote it: "1.0"'),
        ("name: bob\ntick: 12:30", "YAML reads 12:30 as a number in another notation: quote it"),
        ("bob", "bob.yaml: write keys with values, at least 'name: bob'"),
        ("name: bob\nmodel: {base_url: 'localhost:8080'}", "model.base_url: the model's base URL"),
        ("name: bob\nmodel: {profile: opneai}", "; did you mean openai?"),
        ("name: bob\nmodel: {api: rest}", "model.api: write auto, chat or responses"),
        ("name: bob\nmodel: {reasoning: max}", "model.reasoning: write none, low, medium or high"),
        ("name: bob\nmodel: {temperature: true}", "model.temperature: write a number"),
        ("name: bob\nmodel: {temperature: 3}", "model.temperature: write a value of at most 2"),
        ("name: bob\nmodel: {context: 0}", "model.context: write a value of at least 1"),
        ("name: bob\nmodel: {extra: [1]}", "model.extra: write keys with values"),
        ("name: bob\ntools: ['a.py:größe', 'b.py:gräße']", "are called 'gr__e' for the model"),
        ("name: bob\ntools: ['a.py:carol']\nworkers: [carol]", "are called 'carol' for the model"),
        (f"name: bob\nworkers: [{WORKERS}]", f"endpoints take {MOST_CALLABLE}"),
        ("description: Writes.", "bob.yaml: name: the key is missing"),
        ("name: bob\nsession: true", "session: unknown key"),
        ("name: bob\ntools: [orders]", "tools.0"),
        ("name: bob\nworkers: [a, a]", "workers: 'a' occurs twice"),
        (
            "name: bob\nschedule: [{name: a, cron: '61 * * * *', prompt: x}]",
            "schedule.0.cron: '61 * * * *' is no cron line",
        ),
        (
            "name: bob\nschedule: [{name: a, every: 1m, cron: '* * * * *', prompt: x}]",
            "give either 'every' or 'cron'",
        ),
        (
            "name: bob\nschedule: [{name: a, every: 1m, timezone: Mars/Olympus, prompt: x}]",
            "'Mars/Olympus' is no time zone",
        ),
    ],
)
def test_a_fault_is_one_line_with_file_and_field(folder: Path, text: str, said: str) -> None:
    write(folder, "bob", text)
    line = fault(folder)
    assert said in line
    assert "\n" not in line


def test_every_fault_of_a_file_is_named_in_the_order_of_its_lines(folder: Path) -> None:
    write(folder, "bob", "name: bob\nfoo: 1\nlimits: {turns: 0}\ntools: [a.py:x]\nworkers: [x]\n")
    write(folder, "x", "name: x")
    assert [line.split(":")[1] for line in fault(folder).splitlines()] == ["2", "3", "4"]


@pytest.mark.parametrize(("text", "length"), [("8760h", 365), ("365h1200m14400s", 16)])
def test_a_duration_is_at_most_a_year(folder: Path, text: str, length: int) -> None:
    write(folder, "bob", f"name: bob\nlimits: {{timeout: {text}}}")
    assert load(folder)["bob"].limits.timeout.days == length


def test_an_agents_name_is_valid_and_reserved_by_no_command() -> None:
    assert [it for it in ("bob-2", "all", "scheduler", "Bob", "b b", "bob\n") if is_name(it)] == [
        "bob-2"
    ]
