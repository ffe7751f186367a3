"""Which change of a file is a change of which agent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from services.cli.up.sources import digest, look
from shared.definitions.loader import read_folder

FILES = {
    "alice.yaml": "{name: alice, description: Manages., workers: [bob]}",
    "bob.yaml": "{name: bob, description: Writes., tools: ['prices.py:price']}",
    "carol.yaml": "{name: carol, tools: ['dates.py:day'], guardrails: {input: ['checks.py:ok']}}",
    "tools/prices.py": "from shop.stock import left\ndef price() -> int: return left",
    "tools/shop/stock.py": "from . import names\nleft = 1",
    "tools/shop/names.py": "",
    "tools/dates.py": "def day() -> str: return ''",
    "tools/checks.py": "def ok(text: str) -> None: ...",
    "tools/unused.py": "",
}


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def digests(agents: Path) -> dict[str, str]:
    folder = read_folder(agents)
    return {name: digest(folder, name) for name in folder.found}


@pytest.mark.parametrize(
    ("file", "text", "changed"),
    [
        ("bob.yaml", FILES["bob.yaml"].replace("bob,", "bob, preamble: Be kind.,"), {"bob"}),
        ("bob.yaml", FILES["bob.yaml"].replace("Writes", "Reads"), {"alice", "bob"}),
        ("bob.yaml", FILES["bob.yaml"] + "# a comment", set()),
        (
            "carol.yaml",
            FILES["carol.yaml"][:-1] + ", schedule: [{name: a, every: 1h, prompt: Go.}]}",
            set(),
        ),
        ("tools/prices.py", "def price() -> int: return 2", {"bob"}),
        ("tools/shop/stock.py", "left = 2", {"bob"}),
        ("tools/shop/names.py", "names = []", {"bob"}),
        ("tools/dates.py", "def day(:", {"carol"}),
        ("tools/checks.py", "def ok(text: str) -> str: ...", {"carol"}),
        ("tools/unused.py", "x = 1", set()),
    ],
)
def test_a_changed_file_concerns_the_agents_that_are_made_of_it(
    agents: Path, file: str, text: str, changed: set[str]
) -> None:
    before = digests(agents)
    (agents / file).write_text(text)
    after = digests(agents)
    assert {name for name, found in before.items() if after[name] != found} == changed


def test_a_look_differs_after_a_change_and_ignores_what_tools_write(agents: Path) -> None:
    before = look(agents)
    (agents / "tools" / "orders.db").write_text("data")
    assert look(agents) == before
    os.utime(agents / "tools" / "dates.py", (0, 0))
    assert look(agents) != before
