"""Approval in an agent's file: what it accepts, and which calls it asks about."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import JsonValue, ValidationError

from shared.definitions.approval import EXPIRES, ApprovalRule
from shared.definitions.loader import equipped, read_folder
from shared.definitions.model import Definition
from shared.definitions.tools.choice import ToolChoice
from shared.errors import SettingsError
from tests.support.agents_folder import fault, write

PARAMETERS: dict[str, JsonValue] = {
    "type": "object",
    "properties": {
        "amount": {"type": "number"},
        "country": {"type": "string"},
        "order": {"type": "object"},
        "dry_run": {"type": "boolean"},
    },
}


def asks(when: str, **arguments: JsonValue) -> bool:
    return ApprovalRule(when=when).asks(arguments, PARAMETERS)


@pytest.mark.parametrize(
    ("hint", "when", "usual", "odd"),
    [
        ("date", "x > '2026-06-30'", "2026-01-01", "1798761600"),
        ("date-time", "x >= '2026-06-30'", "2026-01-01T00:00:00Z", "1798761600"),
        ("date-time", "x >= '2026-06-30'", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00-09:00"),
        ("uuid", "x == 'a8098c1a-f86e-11da-bd1a-00112444be1e'",
         "b8098c1a-f86e-11da-bd1a-00112444be1e", "A8098C1A-F86E-11DA-BD1A-00112444BE1E"),
        ("uri", "x.startswith('https://b.example')", None, "HTTPS://B.example"),
    ],
)  # fmt: skip
def test_a_text_that_a_tool_may_read_as_another_value_needs_approval(
    hint: str, when: str, usual: str | None, odd: str
) -> None:
    x: JsonValue = {"type": "string", "format": hint}
    plain: dict[str, JsonValue] = {"properties": {"x": x, "y": x}}
    referring: dict[str, JsonValue] = {
        "$defs": {"X": x},
        "properties": {"x": {"$ref": "#/$defs/X"}, "y": x},
    }
    rule = ApprovalRule(when=when)
    for parameters in (plain, referring):
        assert rule.asks({"x": odd}, parameters)
        if usual is not None:
            assert not rule.asks({"x": usual, "y": odd}, parameters), "it doesn't read y"


def choice(approval: object) -> ApprovalRule | None:
    return ToolChoice.model_validate({"function": "pay.py:pay", "approval": approval}).approval


def test_a_file_says_always_never_or_when() -> None:
    assert choice("always") == ApprovalRule()
    assert choice("never") is None
    assert choice({"when": "amount > 100"}) == ApprovalRule(when="amount > 100")
    assert choice({"expires": "2d"}) == ApprovalRule(expires=timedelta(days=2))
    assert ApprovalRule().expires == EXPIRES


@pytest.mark.parametrize(
    ("when", "arguments"),
    [
        ("amount > 100", {"amount": 150}),
        ("amount > 100", {"amount": 100.01}),
        ("country not in ['DE', 'FR'] or amount > 100", {"country": "US", "amount": 1}),
        ("order.total > 100", {"order": {"total": 500}}),
        ("len(country) != 2", {"country": "DEU"}),
        ("not country.endswith('E')", {"country": "FR"}),
        ("any_of", {"any_of": 1}),
    ],
)
def test_a_call_whose_condition_is_true_needs_approval(
    when: str, arguments: dict[str, JsonValue]
) -> None:
    assert asks(when, **arguments)


@pytest.mark.parametrize(
    ("when", "arguments"),
    [
        ("amount > 100", {"amount": 100}),
        ("amount > 100", {"amount": 99.9}),
        ("country not in ['DE', 'FR'] or amount > 100", {"country": "DE", "amount": 1}),
        ("order.total > 100", {"order": {"total": 5}}),
        ("not dry_run", {"dry_run": True}),
    ],
)
def test_a_call_whose_condition_is_false_needs_none(
    when: str, arguments: dict[str, JsonValue]
) -> None:
    assert not asks(when, **arguments)


@pytest.mark.parametrize(
    ("when", "arguments"),
    [
        ("amount > 100", {}),
        ("amount > 100", {"amount": None}),
        ("amount > 100", {"amount": "5"}),
        ("amount > 100", {"amount": [5]}),
        ("order.total > 100", {"order": {}}),
        ("order.total > 100", {"order": "{}"}),
        ("amount / 0 > 1", {"amount": 5}),
        ("not dry_run", {"dry_run": "false"}),  # a text is true here, and false for a tool
        ("amount and 0", {"amount": 5}),
        ("country * 10**9 == ''", {"country": "DE"}),
    ],
)
def test_a_condition_that_fails_or_does_not_fit_the_arguments_asks(
    when: str, arguments: dict[str, JsonValue]
) -> None:
    assert asks(when, **arguments)


@pytest.mark.parametrize(
    "when",
    [
        "amount >",
        "",
        "1 > 0",
        "amount = 5",
        "amount > 1; country",
        "lambda: amount",
        "open(amount)",
        "__import__('os') or amount",
        f"amount > {'(' * 2000}1{')' * 2000}",
    ],
)
def test_a_text_that_is_no_condition_is_refused(when: str) -> None:
    with pytest.raises(ValidationError):
        ApprovalRule(when=when)


@pytest.mark.parametrize("approval", ["allways", True, 5, {"if": "amount > 1"}, {"expires": 7}])
def test_another_value_is_refused(approval: object) -> None:
    with pytest.raises(ValidationError):
        choice(approval)


def test_a_wrong_condition_is_a_fault_with_its_line(tmp_path: Path) -> None:
    write(
        tmp_path,
        "alice",
        "name: alice\ntools:\n- function: pay.py:pay\n  approval:\n    when: amount >\n",
    )
    assert fault(tmp_path) == (
        f"{tmp_path}/alice.yaml:5: tools.0.approval.when: "
        "'amount >' is no condition such as amount > 100"
    )


async def test_a_condition_on_an_argument_that_the_tool_does_not_have_is_a_fault(
    tmp_path: Path,
) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "pay.py").write_text("def pay(amount: float) -> str: return 'paid'\n")
    write(
        tmp_path,
        "alice",
        "name: alice\ntools: [{function: pay.py:pay, approval: {when: sum > 100}}]\n",
    )
    with pytest.raises(SettingsError) as caught:
        await equipped(read_folder(tmp_path), "alice")
    assert str(caught.value) == (
        f"{tmp_path}/alice.yaml:2: tools.0.approval.when: 'sum > 100': the call has no argument "
        "'sum'; it has amount"
    )


def test_a_worker_is_a_name_or_has_an_approval(tmp_path: Path) -> None:
    write(tmp_path, "bob", "name: bob")
    write(tmp_path, "carol", "name: carol")
    write(tmp_path, "alice", "name: alice\nworkers: [bob, {name: carol, approval: always}]")
    workers = read_folder(tmp_path).definition("alice").workers
    assert [(it.name, it.approval) for it in workers] == [("bob", None), ("carol", ApprovalRule())]


def test_a_worker_has_a_prompt_and_a_context_only(tmp_path: Path) -> None:
    write(tmp_path, "bob", "name: bob")
    write(
        tmp_path,
        "alice",
        "name: alice\nworkers: [{name: bob, approval: {when: amount > 1}}]",
    )
    assert fault(tmp_path).endswith(
        "'amount > 1': the call has no argument 'amount'; it has prompt, context"
    )


def test_an_earlier_version_reads_a_definition_without_approval() -> None:
    definition = Definition.model_validate(
        {"name": "alice", "workers": ["bob"], "tools": ["pay.py:pay"]}
    )
    stored = definition.model_dump(mode="json")
    assert stored["workers"] == ["bob"]
    assert "approval" not in stored["tools"][0]


def test_a_stored_definition_keeps_its_approval() -> None:
    definition = Definition.model_validate(
        {
            "name": "alice",
            "workers": ["bob", {"name": "carol", "approval": "always"}],
            "tools": [{"function": "pay.py:pay", "approval": {"when": "amount > 1"}}],
        }
    )
    assert Definition.model_validate_json(definition.model_dump_json()) == definition
