"""What a typed function can express: its schema, and arguments in its types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import JsonValue

from shared.definitions.functions import Tool, load
from shared.definitions.tools.call_info import CallInfo
from shared.definitions.tools.choice import ToolChoice
from shared.errors import SettingsError
from tests.support.tool_file import failure, tool

TYPES = """
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, LiteralString, NamedTuple, NotRequired, Optional
from typing import TypedDict, Union
from uuid import UUID
from pydantic import BaseModel, Field

class Why(Enum):
    LATE = 'late'
    BROKEN = 'broken'
class Level(IntEnum):
    LOW = 1
class Point(NamedTuple):
    x: int
    y: int
@dataclass
class Item:
    name: str
    count: int = 1
class Box(TypedDict):
    items: list[int]
    note: NotRequired[str]
class Order(BaseModel):
    id: int
    item: Item
    more: list[Item] = []
class Tree(BaseModel):
    children: list['Tree'] = []
"""


def taking(folder: Path, hint: str, before: str = TYPES) -> Tool:
    return tool(folder, f"{before}\ndef lookup(it: {hint}) -> str:\n    return repr(it)")


@pytest.mark.parametrize(
    ("hint", "sent", "arrived"),
    [
        ("Optional[int]", None, "None"),
        ("Union[int, str]", "a", "'a'"),
        ("Literal['late', 2]", "Late", "'late'"),
        ("Why", "broken", "<Why.BROKEN: 'broken'>"),
        ("Why", " LATE", "<Why.LATE: 'late'>"),
        ("Level", "1", "<Level.LOW: 1>"),
        ("list[date]", ["2026-01-31"], "[datetime.date(2026, 1, 31)]"),
        ("set[int]", "[1, 1]", "{1}"),
        ("frozenset[str]", "a", "frozenset({'a'})"),
        ("tuple[int, str]", [1, "a"], "(1, 'a')"),
        ("tuple[int, ...]", "1, 2", "(1, 2)"),
        ("deque[int]", [1], "deque([1])"),
        ("Iterable[int]", ["1"], "[1]"),
        ("Sequence[str]", "a", "['a']"),
        ("Collection[str]", ["a"], "['a']"),
        ("Mapping[str, list[int]]", {"a": "[1]"}, "{'a': [1]}"),
        ("dict[int, str]", {"1": 2}, "{1: '2'}"),
        ("datetime", "2026-01-31T12:00:00Z", "datetime.datetime(2026, 1, 31, 12, 0, "),
        ("time", "12:30", "datetime.time(12, 30)"),
        ("timedelta", "PT90S", "datetime.timedelta(seconds=90)"),
        ("Decimal", "0.10", "Decimal('0.10')"),
        ("Decimal", 5, "Decimal('5')"),
        ("UUID", "0" * 32, "UUID('00000000-0000-0000-0000-000000000000')"),
        ("Path", "a/b", "PosixPath('a/b')"),
        ("Point", {"x": "1", "y": 2}, "Point(x=1, y=2)"),
        ("Item", {"name": 5, "count": None}, "Item(name='5', count=1)"),
        ("Box", '{"items": "[1, 2]"}', "{'items': [1, 2]}"),
        ("list[Box] | None", [{"items": [1], "note": None}], "[{'items': [1]}]"),
        (
            "Order",
            {"id": "7", "item": "{'name': 'pen', 'count': '2'}", "more": '[{"name": "ink"}]'},
            "Order(id=7, item=Item(name='pen', count=2), more=[Item(name='ink', count=1)])",
        ),
        ("Tree", {"children": [{}]}, "Tree(children=[Tree(children=[])])"),
        ("Annotated[list[int], Field(max_length=2)]", "[1]", "[1]"),
        ("LiteralString", "a", "'a'"),
        ("Any", {"a": [None]}, "{'a': [None]}"),
        ("object", "1", "'1'"),
    ],
)
async def test_an_argument_arrives_in_the_hinted_type(
    tmp_path: Path, hint: str, sent: JsonValue, arrived: str
) -> None:
    made = taking(tmp_path, hint)
    assert (await made.call({"it": sent})).startswith(arrived)
    postponed = "from __future__ import annotations\n" + TYPES
    (tmp_path / "postponed").mkdir()
    assert (await taking(tmp_path / "postponed", hint, postponed).call({"it": sent})).startswith(
        arrived
    )


@pytest.mark.parametrize(
    ("hint", "sent", "fault"),
    [
        ("Item", {"name": "pen", "count": "many"}, "it.count: expected a whole number"),
        ("Why", "lost", "it: expected late or broken"),
        ("list[str]", "a, b", "it: expected a list"),
        ("list[int]", {"a": 1}, "it: expected a list"),
        ("Order", {"id": None, "item": {"name": "pen"}}, "it.id: the key is missing"),
    ],
)
async def test_what_has_several_readings_is_refused(
    tmp_path: Path, hint: str, sent: JsonValue, fault: str
) -> None:
    assert fault in await failure(taking(tmp_path, hint), it=sent)


async def test_names_that_exist_only_for_type_checkers_are_imported(tmp_path: Path) -> None:
    source = """
from __future__ import annotations
from dataclasses import dataclass
import typing as t
if t.TYPE_CHECKING:
    from _typeshed import StrPath
    from decimal import Decimal
    from uuid import UUID as Id
@dataclass
class Price:
    amount: Decimal
def lookup(price: Price, id: Id | None = None) -> str:
    return repr(price)
"""
    made = tool(tmp_path, source)
    assert await made.call({"price": {"amount": "1.5"}}) == "Price(amount=Decimal('1.5'))"


async def test_parameters_of_every_kind_are_named_in_the_schema(tmp_path: Path) -> None:
    source = (
        "def lookup(a: int, /, b: int, c: int = 3, *more: int, d: int = 4, **named: str) -> str:\n"
        "    return repr((a, b, c, more, d, named))"
    )
    made = tool(tmp_path, source)
    assert made.parameters["required"] == ["a", "b"]
    assert await made.call({"a": 1, "b": 2}) == "(1, 2, 3, (), 4, {})"
    every: dict[str, JsonValue] = {"a": 1, "b": 2, "c": 5, "more": [6], "d": 7, "named": {"e": "8"}}
    assert await made.call(every) == "(1, 2, 5, (6,), 7, {'e': '8'})"


async def test_a_default_can_be_skipped_before_a_positional_argument(tmp_path: Path) -> None:
    source = "def lookup(a: int = 1, b: int = 2, /) -> str:\n    return repr((a, b))"
    assert await tool(tmp_path, source).call({"b": 5}) == "(1, 5)"


async def test_a_parameter_without_a_json_type_keeps_its_default(tmp_path: Path) -> None:
    source = """
from collections.abc import Callable
import threading
def lookup(
    order: str | threading.Event, read: Callable[[str], int] = len, lock: threading.Lock = None
) -> int:
    return read(order)
"""
    made = tool(tmp_path, source)
    assert made.parameters["properties"] == {"order": {"type": "string"}}
    assert set(made.signature.left_out) == {"read", "lock"}
    assert await made.call({"order": "abc"}) == "3"
    assert "lock: unknown key" in await failure(made, order="abc", lock=1)


async def test_facts_of_the_call_are_filled_in_and_no_model_sees_them(tmp_path: Path) -> None:
    names = "idempotency_key", "deadline", "session", "run_id", "progress"
    source = f"""
def lookup(n: int, {", ".join(names)}) -> str:
    progress(1, 2)
    return repr((idempotency_key, deadline, session, run_id))
"""
    made = tool(tmp_path, source)
    seen: list[tuple[float, float | None]] = []

    def progress(done: float, total: float | None = None) -> None:
        seen.append((done, total))

    info = CallInfo(idempotency_key="k", session="s", run_id="r", progress=progress)
    assert made.parameters["properties"] == {"n": {"type": "integer"}}
    assert await made.call({"n": 1}, info) == "('k', None, 's', 'r')"
    assert seen == [(1, 2)]
    assert "session: unknown key" in await failure(made, n=1, session="another")


@pytest.mark.parametrize(
    "parameter", ["session: int", "session: str", "deadline: str", "run_id: list[str]"]
)
def test_a_fact_of_the_call_with_a_hint_that_it_violates_is_refused(
    tmp_path: Path, parameter: str
) -> None:
    name = parameter.partition(":")[0]
    with pytest.raises(SettingsError, match=f"'{name}' gets a fact of the call, which is"):
        tool(tmp_path, f"def lookup({parameter}) -> None: ...")


async def test_without_a_session_its_default_applies(tmp_path: Path) -> None:
    made = tool(tmp_path, "def lookup(session: str = 'none') -> str:\n    return session")
    assert [await made.call({}, CallInfo(session=it)) for it in ("s", None)] == ["s", "none"]


async def test_an_awaitable_under_a_plain_decorator_is_awaited(tmp_path: Path) -> None:
    source = """
import functools
def traced(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper
@traced
async def lookup(n: int) -> int:
    return n + 1
"""
    assert await tool(tmp_path, source).call({"n": "1"}) == "2"


METHODS = """
class Shop:
    def __init__(self) -> None:
        self.sold = 0
    def sell(self, number: int) -> int:
        self.sold += number
        return self.sold
    @classmethod
    def name(cls, upper: bool = False) -> str:
        return cls.__name__
    @staticmethod
    def add(a: int, b: int) -> int:
        return a + b
"""


async def test_a_method_is_a_tool_of_one_object(tmp_path: Path) -> None:
    sell = tool(tmp_path, METHODS, "Shop.sell")
    assert sell.owner
    assert (sell.name, list(_properties(sell))) == ("sell", ["number"])
    bound = sell.bound(sell.owner())
    assert [await bound.call({"number": it}) for it in (1, 2)] == ["1", "3"]
    name, add = (load(tmp_path, f"orders.py:Shop.{it}") for it in ("name", "add"))
    assert await name.call({"upper": True}) == "Shop"
    assert await add.call({"a": 1, "b": 2}) == "3"


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("Shop.buy", "Shop has no method 'buy'"),
        ("Shop.__doc__", "Shop has no method '__doc__'"),
        ("lookup.sell", "'lookup' is a int, not a class"),
        ("Shopp.sell", "there is no function 'Shopp'"),
    ],
)
def test_a_method_that_is_not_there_is_refused(tmp_path: Path, name: str, fault: str) -> None:
    with pytest.raises(SettingsError, match=fault):
        tool(tmp_path, METHODS + "\nlookup = 5", name)


async def test_the_agents_file_names_describes_and_cuts(tmp_path: Path) -> None:
    tool(tmp_path, "def lookup() -> str:\n    'Old.'\n    return 'a' * 200")
    choice = ToolChoice(
        function="orders.py:lookup", rename="find-order", description="New.", max_result=100
    )
    made = load(tmp_path, choice)
    assert (made.name, made.description) == ("find-order", "New.")
    assert await made.call({}) == "a" * 100 + "\n[cut: the first 100 of 200 characters]"


def _properties(made: Tool) -> dict[str, Any]:
    found = made.parameters["properties"]
    assert isinstance(found, dict)
    return found
