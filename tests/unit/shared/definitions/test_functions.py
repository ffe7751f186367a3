import asyncio
import threading
from pathlib import Path

import pytest

from shared.definitions.functions import load
from shared.definitions.tools.call_info import CallInfo
from shared.definitions.tools.choice import sanitised
from shared.errors import SettingsError
from tests.support.tool_file import failure, tool


def refusal(folder: Path, source: str, name: str = "lookup") -> str:
    with pytest.raises(SettingsError) as caught:
        tool(folder, source, name)
    assert "orders.py" in str(caught.value)
    assert name in str(caught.value)
    return str(caught.value)


def test_hints_and_docstring_are_the_schema(tmp_path: Path) -> None:
    made = tool(
        tmp_path,
        "def lookup(order: int, tags: list[str], note: str = 'x') -> str:\n"
        '    """Finds an order."""\n    return note',
    )
    assert (made.name, made.description) == ("lookup", "Finds an order.")
    assert made.parameters == {
        "type": "object",
        "properties": {
            "order": {"type": "integer"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "note": {"type": "string", "default": "x"},
        },
        "required": ["order", "tags"],
        "additionalProperties": False,
    }


async def test_a_function_gets_the_steps_key_and_no_model_sees_it(tmp_path: Path) -> None:
    made = tool(
        tmp_path, "def lookup(n: int, idempotency_key: str) -> str:\n    return idempotency_key"
    )
    assert list(made.parameters["properties"]) == ["n"]  # type: ignore[arg-type]  # an object
    assert made.parameters["required"] == ["n"]
    assert await made.call({"n": 1}, CallInfo(idempotency_key="run.1.2.3")) == "run.1.2.3"
    assert "idempotency_key: unknown key" in await failure(made, n=1, idempotency_key="mine")


async def test_a_plain_function_runs_in_a_thread_of_its_own(tmp_path: Path) -> None:
    made = tool(
        tmp_path,
        "import threading\ndef lookup() -> int:\n    return threading.get_ident()",
    )
    assert await made.call({}) != str(threading.get_ident())


async def test_an_async_function_is_awaited(tmp_path: Path) -> None:
    made = tool(tmp_path, "async def lookup(n: int) -> dict[str, int]:\n    return {'n': n}")
    assert await made.call({"n": 1}) == '{"n":1}'


async def test_plain_functions_run_side_by_side(tmp_path: Path) -> None:
    made = tool(
        tmp_path,
        "import threading\nmeeting = threading.Barrier(2, timeout=10)\n"
        "def lookup() -> str:\n    meeting.wait()\n    return 'met'",
    )
    met = await asyncio.gather(made.call({}), made.call({}))
    assert list(met) == ["met", "met"]


@pytest.mark.parametrize(
    "statement", ["raise ValueError('no such order')", "import sys; sys.exit('no such order')"]
)
async def test_a_tools_exception_is_reported_to_the_model(tmp_path: Path, statement: str) -> None:
    made = tool(tmp_path, f"def lookup() -> None:\n    {statement}")
    said = await failure(made)
    assert said.startswith("lookup failed: ")
    assert said.endswith("no such order")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent\.py: there is no such file to load 'lookup'"):
        load(tmp_path, "absent.py:lookup")


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        ("raise ValueError('one\\ntwo')", "ValueError: one"),
        ("\ndef lookup(:", "/tools/orders.py:2: SyntaxError: invalid syntax"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("def other() -> None: ...", "there is no function 'lookup'; known: other"),
        (
            "from json import load\ndef lokup() -> None: ...\ndef _lookups() -> None: ...",
            "there is no function 'lookup'; known: lokup; did you mean lokup?",
        ),
        ("lookup = 5", "'lookup' is a int, not a function"),
        ("def lookup(order): ...", "the parameter 'order' has no type hint"),
        (
            "class lookup:\n    def __init__(self, order: int) -> None: ...",
            "it is a class; name a function",
        ),
        ("def lookup(*orders) -> None: ...", "the parameter '*orders' has no type hint"),
        ("def lookup(**orders) -> None: ...", "the parameter '**orders' has no type hint"),
        ("def lookup(order: 'Order') -> None: ...", "name 'Order' is not defined"),
        (
            "class A: ...\ndef lookup(a: A) -> None: ...",
            "type that JSON doesn't have: no schema for <class",
        ),
        (
            "from typing import Callable\ndef lookup(a: Callable[[], int]) -> None: ...",
            "no schema for CallableSchema",
        ),
    ],
)
def test_a_tool_that_cannot_be_one_is_refused(tmp_path: Path, source: str, fault: str) -> None:
    said = refusal(tmp_path, source)
    assert fault in said
    assert "\n" not in said


async def test_a_tool_file_may_have_the_name_of_a_module(tmp_path: Path) -> None:
    source = "import queue\ndef lookup() -> str:\n    return queue.Queue.__name__"
    made = tool(tmp_path, source, file="queue.py")
    assert await made.call({}) == "Queue"


async def test_equal_file_names_in_two_folders_are_two_tools(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    made = [tool(tmp_path / it, f"def lookup() -> str:\n    return '{it}'") for it in ("a", "b")]
    assert [await it.call({}) for it in made] == ["a", "b"]


async def test_two_functions_of_one_file_share_its_module(tmp_path: Path) -> None:
    source = "seen: list[int] = []\ndef put(n: int) -> None:\n    seen.append(n)\n"
    put = tool(tmp_path, source + "def lookup() -> list[int]:\n    return seen", name="put")
    await put.call({"n": 7})
    assert await load(tmp_path, "orders.py:lookup").call({}) == "[7]"


async def test_tools_import_each_other_and_share_what_they_keep(tmp_path: Path) -> None:
    stock = "counted: list[int] = []\ndef count(n: int) -> None:\n    counted.append(n)"
    count = tool(tmp_path, stock, name="count", file="stock_of_shop.py")
    prices = "from stock_of_shop import counted\ndef lookup() -> list[int]:\n    return counted"
    lookup = tool(tmp_path, prices, file="prices_of_shop.py")
    await count.call({"n": 7})
    assert await lookup.call({}) == "[7]"


async def test_a_tool_file_replaces_no_package(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "shared.py").write_text("def lookup() -> int:\n    return 1")
    user = "import shared\ndef lookup() -> bool:\n    return hasattr(shared, 'lookup')"
    assert await tool(tmp_path, user).call({}) == "false"
    assert await load(tmp_path, "shared.py:lookup").call({}) == "1"


def test_a_fault_in_an_imported_tool_is_named(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "broken_helper.py").write_text("raise ValueError('no stock')")
    assert "ValueError: no stock" in refusal(tmp_path, "import broken_helper")


async def test_postponed_hints_and_dataclasses_work(tmp_path: Path) -> None:
    source = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "@dataclass\nclass Order:\n    id: int\n"
        "def lookup(order: Order, schema: str, _hidden: int = 0) -> int:\n    return order.id"
    )
    made = tool(tmp_path, source)
    assert await made.call({"order": {"id": 3}, "schema": "x"}) == "3"


def test_names_are_made_fit_for_every_endpoint() -> None:
    assert sanitised("größe") == "gr__e"
    assert sanitised("multi_tool_use.parallel") == "multi_tool_use_parallel"
    assert len(sanitised("x" * 100)) == 64
    assert sanitised("") == "_"


def test_a_syntax_error_in_a_file_that_a_tool_imports_names_that_file(tmp_path: Path) -> None:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "stock_with_a_fault.py").write_text("x = 1\ny = (\n")
    said = refusal(tmp_path, "import stock_with_a_fault\ndef lookup() -> None: ...")
    assert "/tools/stock_with_a_fault.py:2: SyntaxError: '(' was never closed" in said
