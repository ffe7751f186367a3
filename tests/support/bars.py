"""Lives of runs, and the bars that are drawn of them."""

from __future__ import annotations

from services.gateway.timeline.bar import Bar, BarKind
from services.gateway.timeline.bars import Life, PlannedCall, bars
from shared.store.queries.timeline import MarkRow, StepTime

T = 1_700_000_000.0
"""The time of the claim."""


def step(
    turn: int,
    position: int,
    at: float,
    seconds: float | None = None,
    *,
    kind: str = "model",
    name: str = "turn",
    epoch: int = 1,
) -> StepTime:
    return StepTime(epoch, turn, position, kind, name, T + at, seconds)


def mark(kind: str, at: float, instance: str = "", reason: str = "") -> MarkRow:
    return MarkRow(kind, instance, reason, T + at)


ENDED = Life("ok", T, T + 10, steps=[step(1, 0, 10, 9.5)])
TOOL = PlannedCall(1, BarKind.TOOL, "lookup")
BOB = PlannedCall(2, BarKind.WORKER, "bob")

Drawn = tuple[str, float, float | None]


def drawn(life: Life) -> list[Drawn]:
    return [(it.kind, *times(it)) for it in bars(life)]


def times(bar: Bar) -> tuple[float, float | None]:
    to = None if bar.to is None else round(bar.to.timestamp() - T, 3)
    return round(bar.from_.timestamp() - T, 3), to


def only(life: Life, kind: BarKind) -> Bar:
    (found,) = [it for it in bars(life) if it.kind is kind]
    return found
