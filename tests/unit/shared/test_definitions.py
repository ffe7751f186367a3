"""An agent's file: what it may say, and the line that a fault is told in."""

from datetime import timedelta
from pathlib import Path

import pytest

from shared.definitions import Definition, load
from shared.errors import SettingsError


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
        ("[orders.py]", "bob.yaml: tools.0.function: "),
        ("[{function: 'o.py:f', repeatble: true}]", "bob.yaml: tools.0.repeatble: unknown key"),
        ("[o.py:f, {function: 'o.py:f'}]", "tools: 'o.py:f' stands there twice"),
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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: Bob", "bob.yaml: name: String should match pattern"),
        ("name: all", "bob.yaml: name: 'all' is taken: commands call others so"),
        ("name: scheduler", "bob.yaml: name: 'scheduler' is taken"),
        ("name: bob\nworker: [x]", "bob.yaml: worker: unknown key; known are description"),
        ("name: bob\nlimits: {turn: 1}", "bob.yaml: limits.turn: unknown key"),
        ("name: bob\nlimits: {timeout: 10}", "write a duration with its unit"),
        ("name: bob\nlimits: {timeout: 0s}", "longer than zero"),
        ("name: bob\ntick: soon", "'soon' is no duration"),
        ("name: bob\nsession: true", "session: unknown key"),
        ("name: bob\ntools: [orders]", "tools.0"),
        ("name: bob\nworkers: [a, a]", "workers: 'a' stands there twice"),
        ("name: bob\nworkers: [carol]", "workers: no agent 'carol'; known are bob"),
        ("name: bob\nworkers: [bob]", "workers: a cycle: bob -> bob"),
        ("name: [", "bob.yaml:1: not YAML"),
        ("- a", "an agent's file is a mapping"),
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


def test_a_longer_cycle_of_workers_is_told_as_it_runs(folder: Path) -> None:
    write(folder, "alice", "name: alice\nworkers: [bob]")
    write(folder, "bob", "name: bob\nworkers: [carol]")
    write(folder, "carol", "name: carol\nworkers: [alice]")
    assert "a cycle: alice -> bob -> carol -> alice" in fault(folder)


def test_two_files_can_not_define_one_agent(folder: Path) -> None:
    write(folder, "bob", "name: bob")
    write(folder, "robert", "name: bob")
    assert "another file already defines 'bob'" in fault(folder)


def test_every_fault_is_told_at_once(folder: Path) -> None:
    write(folder, "alice", "name: alice\nx: 1")
    write(folder, "bob", "name: bob\ny: 1")
    assert len(fault(folder).splitlines()) == 2


def test_a_missing_or_empty_folder_says_what_to_do(folder: Path) -> None:
    assert "holds no agent" in fault(folder)
    assert "run 'hutch init'" in fault(folder / "nowhere")
