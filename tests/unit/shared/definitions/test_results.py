"""The result of a tool's call, whatever the tool raises or returns."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from shared.definitions.functions import JsonObject, load
from shared.definitions.results import MAX_RESULT_CHARS, MAX_TRACE_CHARS
from shared.errors import ToolError
from tests.support.tool_file import failure, tool

RAISED = {
    "an exception of its own that is no Exception": "raise Panic('lost')",
    "KeyboardInterrupt": "raise KeyboardInterrupt('lost')",
    "SystemExit": "raise SystemExit('lost')",
    "GeneratorExit": "raise GeneratorExit('lost')",
    "StopIteration": "raise StopIteration('lost')",
    "StopAsyncIteration": "raise StopAsyncIteration('lost')",
    "CancelledError": "raise asyncio.CancelledError",
    "a group": "raise BaseExceptionGroup('lost', [KeyboardInterrupt()])",
    "text that raises": "raise Odd(None)",
    "text that is None": "raise Odd('None')",
    "text that ends the process": "raise Odd('exit')",
    "half a surrogate pair": "raise ValueError('\\ud83d')",
    "a recursion": "f = lambda: f(); f()",
    "a cancelled task": "asyncio.current_task().cancel(); await asyncio.sleep(60)",
    "a task that is cancelled as it ends": "asyncio.current_task().cancel()",
}
ODD = """
import asyncio, sys
class Panic(BaseException): ...
class Odd(Exception):
    def __str__(self):
        if self.args[0] == 'exit':
            sys.exit(3)
        if self.args[0] is None:
            raise RuntimeError
        return None
"""
ALIKE = [name for name, statement in RAISED.items() if "current_task" not in statement]


@pytest.mark.parametrize("what", ALIKE)
async def test_any_exception_of_a_plain_tool_is_an_answer(tmp_path: Path, what: str) -> None:
    made = tool(tmp_path, f"{ODD}\ndef lookup() -> None:\n    {RAISED[what]}")
    assert (await failure(made)).startswith("lookup failed: ")


@pytest.mark.parametrize("what", RAISED)
async def test_any_exception_of_an_async_tool_is_an_answer(tmp_path: Path, what: str) -> None:
    made = tool(tmp_path, f"{ODD}\nasync def lookup() -> None:\n    {RAISED[what]}")
    assert (await failure(made)).startswith("lookup failed: ")


@pytest.mark.parametrize("what", ALIKE)
async def test_any_exception_of_a_validator_is_an_answer(tmp_path: Path, what: str) -> None:
    source = f"""{ODD}
from typing import Annotated
from pydantic import BeforeValidator
def check(value):
    {RAISED[what]}
def lookup(n: Annotated[int, BeforeValidator(check)]) -> int:
    return n
"""
    assert (await failure(tool(tmp_path, source), n=1)).startswith("lookup failed: ")


@pytest.mark.parametrize("what", ALIKE)
async def test_any_exception_while_a_result_is_read_is_an_answer(tmp_path: Path, what: str) -> None:
    source = f"{ODD}\ndef lookup():\n    yield 1\n    {RAISED[what]}"
    assert (await failure(tool(tmp_path, source))).startswith("lookup failed: ")


async def test_a_secret_in_a_tools_exception_is_masked(tmp_path: Path) -> None:
    source = "def lookup() -> None:\n    raise ValueError('the key sk-abcdefgh is wrong')"
    assert await failure(tool(tmp_path, source)) == (
        "lookup failed: ValueError: the key sk-*** is wrong"
    )


async def test_a_tool_that_raises_leaves_its_trace(tmp_path: Path) -> None:
    source = "def lookup() -> None:\n    raise ValueError('see amqp://bob:hidden@host')"
    with pytest.raises(ToolError) as caught:
        await tool(tmp_path, source).call({})
    trace = caught.value.detail or ""
    assert trace.startswith("Traceback (most recent call last):")
    assert 'orders.py", line 2, in lookup' in trace
    assert trace.count("File") == 1, "frames of ours say nothing about the tool's fault"
    assert trace.endswith("ValueError: see amqp://bob:***@host\n")


async def test_arguments_that_are_wrong_leave_none(tmp_path: Path) -> None:
    with pytest.raises(ToolError) as caught:
        await tool(tmp_path, "def lookup(n: int) -> int:\n    return n").call({})
    assert caught.value.detail is None


SLOW = """
import threading
from typing import Annotated
from pydantic import BaseModel, BeforeValidator, PlainSerializer
seen = []
def noted(value):
    seen.append(threading.get_ident())
    return value
class Order(BaseModel):
    n: Annotated[int, BeforeValidator(noted), PlainSerializer(noted)]
def threads() -> list[int]:
    return seen
class Odd(Exception):
    def __str__(self):
        return str(noted('odd'))
"""


@pytest.mark.parametrize(
    ("function", "arguments", "times"),
    [
        ("def lookup(order: Order) -> Order:\n    return order", {"order": {"n": 1}}, 2),
        ("async def lookup(order: Order) -> Order:\n    return order", {"order": {"n": 1}}, 2),
        ("def lookup():\n    yield noted(1)\n    yield noted(2)", {}, 2),
        ("def lookup():\n    return map(noted, [1, 2])", {}, 2),
        ("async def lookup():\n    return map(noted, [1, 2])", {}, 2),
    ],
)
async def test_the_plain_code_of_a_tool_runs_in_a_thread(
    tmp_path: Path, function: str, arguments: JsonObject, times: int
) -> None:
    """Validators, the function, what it returns and how that is serialised."""
    made = tool(tmp_path, f"{SLOW}\n{function}")
    await made.call(arguments)
    seen = json.loads(await load(tmp_path, "orders.py:threads").call({}))
    assert len(seen) == times
    assert threading.get_ident() not in seen


@pytest.mark.parametrize("prefix", ["", "async "])
async def test_a_tools_exception_is_formatted_in_a_thread(tmp_path: Path, prefix: str) -> None:
    made = tool(tmp_path, f"{SLOW}\n{prefix}def lookup() -> None:\n    raise Odd")
    assert await failure(made) == "lookup failed: Odd: odd"
    seen = json.loads(await load(tmp_path, "orders.py:threads").call({}))
    assert threading.get_ident() not in seen


@pytest.mark.parametrize(
    "function",
    [
        "def lookup():\n    yield 1\n    yield 2",
        "def lookup():\n    return iter([1, 2])",
        "async def lookup():\n    yield 1\n    yield 2",
        "async def lookup():\n    return (n for n in (1, 2))",
        "async def both():\n    return [1, 2]\ndef lookup():\n    return both()",
        "async def both():\n    yield 1\n    yield 2\nasync def lookup():\n    return both()",
    ],
)
async def test_generators_and_awaitables_are_read_to_their_end(
    tmp_path: Path, function: str
) -> None:
    assert await tool(tmp_path, function).call({}) == "[1,2]"


async def test_a_long_complaint_is_cut(tmp_path: Path) -> None:
    made = tool(tmp_path, "def lookup() -> None:\n    raise ValueError('x' * 100_000)")
    assert len(await failure(made)) < 1100


async def test_a_result_that_is_no_json_is_a_failure(tmp_path: Path) -> None:
    made = tool(tmp_path, "def lookup() -> object:\n    return object()")
    assert "lookup failed: PydanticSerializationError" in await failure(made)


async def test_a_long_result_is_cut_and_marked_as_cut(tmp_path: Path) -> None:
    made = tool(tmp_path, "def lookup() -> str:\n    return 'x' * 60_000")
    result = await made.call({})
    assert len(result) < MAX_RESULT_CHARS + 100
    assert result.endswith("[cut: the first 50000 of 60000 characters]")


async def test_a_long_trace_is_cut_in_the_middle(tmp_path: Path) -> None:
    source = "def lookup() -> None:\n    raise ValueError('x' * 100_000)"
    with pytest.raises(ToolError) as caught:
        await tool(tmp_path, source).call({})
    trace = caught.value.detail or ""
    assert trace.startswith("Traceback")
    assert trace.endswith("xxx\n")
    assert len(trace) < MAX_TRACE_CHARS + 100


async def test_a_long_generator_is_read_to_its_end_and_cut(tmp_path: Path) -> None:
    source = """
read = []
def what() -> int:
    return len(read)
def lookup():
    for n in range(60_000):
        read.append(n)
        yield 'x'
"""
    result = await tool(tmp_path, source).call({})
    assert result.endswith("[cut: the first 50000 of 240001 characters]")
    assert await load(tmp_path, "orders.py:what").call({}) == "60000"


async def test_a_text_of_a_subclass_is_read_as_its_characters(tmp_path: Path) -> None:
    source = """
class Odd(str):
    def __getitem__(self, at): raise ValueError
    def __len__(self): raise ValueError
def lookup():
    return Odd('found')
"""
    assert await tool(tmp_path, source).call({}) == "found"
