"""The table of faults names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("| ").split(" | ")]
    for line in (TESTS.parent / "docs" / "faults.md").read_text("utf-8").splitlines()
    if line.startswith("| ")
][1:]
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_fault_has_a_test_that_exists_or_a_reason(row: list[str]) -> None:
    _, promise, shown_by = row
    named = NAMED.findall(shown_by)
    assert named or (promise == "does not apply" and shown_by)
    for file, name in named:
        text = (TESTS / file).read_text("utf-8")
        assert re.search(rf"^ *(?:async )?def {name}\(", text, re.MULTILINE), f"no {name} in {file}"
