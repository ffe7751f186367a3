"""Guardrails in an agent's file, and the faults that `hutch check` finds in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.definitions.guardrails import Check
from shared.definitions.loader import equipped, read_folder
from shared.definitions.model import Definition
from shared.errors import SettingsError

CHECKS = "def polite(text: str) -> None: ...\ndef wrong(number: int) -> None: ...\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "checks.py").write_text(CHECKS, "utf-8")
    return tmp_path


def write(folder: Path, fields: str) -> None:
    (folder / "alice.yaml").write_text(f"name: alice\n{fields}\n", "utf-8")


async def refusal(folder: Path) -> str:
    with pytest.raises(SettingsError) as caught:
        await equipped(read_folder(folder), "alice")
    return str(caught.value).replace(f"{folder}/", "")


async def test_checks_are_functions_or_models_with_a_rule(folder: Path) -> None:
    write(
        folder,
        "guardrails:\n  input: ['checks.py:polite']\n"
        "  output: ['checks.py:polite', {model: small, check: Be polite.}]",
    )
    found = await equipped(read_folder(folder), "alice")
    guardrails = found.definition.guardrails
    assert guardrails is not None
    assert guardrails.output[1] == Check(model="small", check="Be polite.")
    assert list(found.checks) == ["checks.py:polite"]
    assert found.tools == []


def test_an_agent_without_guardrails_is_stored_as_earlier_versions_read_it() -> None:
    assert "guardrails" not in Definition(name="alice").model_dump_json()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("guardrails:\n  input: [polite]", "alice.yaml:3: guardrails.input.0: write FILE"),
        ("guardrails:\n  input: [{model: x}]", "alice.yaml:3: guardrails.input.0: write FILE.py"),
        (
            "guardrails:\n  input: [{model: x, check: y, function: 'checks.py:polite'}]",
            "alice.yaml:3: guardrails.input.0: write FILE.py",
        ),
        ("guardrails:\n  inputs: []", "alice.yaml:3: guardrails.inputs: unknown key"),
        (
            "guardrails:\n  output: ['checks.py:gone']",
            "alice.yaml:3: guardrails.output.0: tools/checks.py: there is no function 'gone'",
        ),
        (
            "guardrails:\n  output:\n    - checks.py:polite\n    - checks.py:wrong",
            "alice.yaml:5: guardrails.output.1: tools/checks.py: 'wrong' is no check",
        ),
        (
            "guardrails:\n  after_untrusted: {deny: [pay]}",
            "alice.yaml:2: guardrails: after_untrusted.deny: no tool or worker 'pay'",
        ),
        (
            "guardrails:\n  after_untrusted: {deny: [remember], trust: [note]}",
            "alice.yaml:2: guardrails: after_untrusted.trust: no tool or worker 'note'",
        ),
        (
            "guardrails:\n  after_untrusted: {deny: []}",
            "alice.yaml:3: guardrails.after_untrusted.deny: write a list of 1 or more",
        ),
    ],
)
async def test_a_fault_is_named_with_its_line(folder: Path, fields: str, said: str) -> None:
    write(folder, fields)
    assert (await refusal(folder)).startswith(said)


async def test_tools_workers_and_sources_can_be_named(folder: Path) -> None:
    (folder / "bob.yaml").write_text("name: bob\n", "utf-8")
    write(
        folder,
        "workers: [bob]\ntools: [{function: 'checks.py:polite', rename: pay}]\n"
        "guardrails:\n  after_untrusted: {deny: [pay], trust: [bob, notes, session, recall]}",
    )
    assert (await equipped(read_folder(folder), "alice")).definition.guardrails is not None
