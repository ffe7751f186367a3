"""The bench's table: the generated part of docs/bench.md, and the reference of its test."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.machine import Machine
from tests.bench.rig import Found, Rig
from tests.support.repository import REPOSITORY

FILE = REPOSITORY / "docs" / "bench.md"
BEGIN, END = "<!-- `make bench` writes from here -->", "<!-- to here -->"
REFERENCE = REPOSITORY / "tests" / "bench" / "reference.json"
"""The ratios of the last whole run, by name."""


def lines(rig: Rig, machine: Machine, found: Sequence[Found]) -> list[str]:
    """In Markdown."""
    return [
        f"Python {platform.python_version()}, RabbitMQ {rig.server.version}, "
        f"PostgreSQL {rig.postgresql.version}. {machine.description()}",
        "",
        "| what | figure | target |",
        "|---|---|---|",
        *(f"| {row.what} | {row.figure} | {row.target} |" for part in found for row in part.rows),
        *(line for part in found if part.table for line in ("", *part.table)),
    ]


def write(generated: Sequence[str], file: Path = FILE) -> None:
    """Replace the lines between the markers."""
    before, _, rest = file.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    file.write_text("\n".join([before + BEGIN, "", *generated, "", END + after]), "utf-8")


def write_reference(ratios: Mapping[str, float]) -> None:
    rounded = {name: round(value, 3) for name, value in ratios.items()}
    REFERENCE.write_text(json.dumps(rounded, indent=2) + "\n", "utf-8")


def reference() -> dict[str, float]:
    found: dict[str, float] = json.loads(REFERENCE.read_text("utf-8"))
    return found
