"""Users' functions that check a text."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from shared.definitions.functions import Tool
from shared.definitions.guardrails import Verdict
from shared.definitions.tools.call_info import CallInfo
from shared.definitions.tools.checks import MOST_CHARS, load_check
from shared.errors import SettingsError, ToolError


def check(folder: Path, source: str) -> Tool:
    (folder / "tools").mkdir(exist_ok=True)
    file = folder / "tools" / f"checks_{abs(hash(source))}.py"
    file.write_text(source, "utf-8")
    return load_check(folder, f"{file.name}:f")


async def verdict(tool: Tool, text: str = "Hello") -> Verdict:
    said = await tool.call({"text": text}, CallInfo(session="ann"))
    return Verdict.model_validate_json(said)


@pytest.mark.parametrize("kind", ["def", "async def"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return None", Verdict(outcome="passed")),
        ("return text + '!'", Verdict(outcome="changed", text="Hello!")),
        ("return 'a\\0b\\ud800'", Verdict(outcome="changed", text="ab?")),
        ("raise PermissionError('Not here.')", Verdict(outcome="refused", reason="Not here.")),
        ("raise PermissionError", Verdict(outcome="refused", reason="")),
    ],
)
async def test_a_check_passes_changes_or_refuses(
    tmp_path: Path, kind: str, body: str, expected: Verdict
) -> None:
    assert await verdict(check(tmp_path, f"{kind} f(text: str):\n    {body}\n")) == expected


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("return True", "not bool"),
        ("return ' '", "a text of 1 to"),
        (f"return 'x' * {MOST_CHARS + 1}", "a text of 1 to"),
        ("raise ValueError('the secret')", "ValueError"),
        ("open('/nowhere/file')", "FileNotFoundError"),
        ("raise SystemExit", "SystemExit"),
    ],
)
async def test_anything_else_is_a_failure(tmp_path: Path, body: str, why: str) -> None:
    with pytest.raises(ToolError, match=why) as caught:
        await verdict(check(tmp_path, f"def f(text: str):\n    {body}\n"))
    assert caught.value.detail


async def test_an_error_of_the_system_is_no_refusal(tmp_path: Path) -> None:
    source = "def f(text: str):\n    raise PermissionError(13, 'denied', '/etc/shadow')\n"
    with pytest.raises(ToolError):
        await verdict(check(tmp_path, source))


async def test_a_long_text_comes_back_whole(tmp_path: Path) -> None:
    long = "\x01" * MOST_CHARS
    said = await verdict(check(tmp_path, "def f(text: str):\n    return text[::-1]\n"), long)
    assert said.text == long


async def test_a_check_can_be_a_method_and_gets_facts_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    source = (
        "class Rules:\n    word = 'no'\n"
        "    async def f(self, text: str, session: str | None):\n"
        "        return f'{session} {self.word} {text}'\n"
    )
    (tmp_path / "tools" / "rules.py").write_text(source, "utf-8")
    tool = load_check(tmp_path, "rules.py:Rules.f")
    assert tool.owner is not None
    assert (await verdict(tool.bound(tool.owner()))).text == "ann no Hello"


async def test_a_cancelled_check_is_cancelled(tmp_path: Path) -> None:
    source = "import asyncio\nasync def f(text: str):\n    await asyncio.sleep(60)\n"
    running = asyncio.create_task(verdict(check(tmp_path, source)))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize(
    "source",
    [
        "def f() -> None: ...",
        "def f(content: str) -> None: ...",
        "def f(text: int) -> None: ...",
        "def f(text: str, other: str) -> None: ...",
    ],
)
def test_a_function_that_takes_no_text_is_no_check(tmp_path: Path, source: str) -> None:
    with pytest.raises(SettingsError, match="'f' is no check: a check has the parameter 'text"):
        check(tmp_path, source)
