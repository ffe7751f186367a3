"""Alternating rounds: subjects are measured in turn, so that all meet the same noise."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import psutil

from shared.contract.topology import TASKS
from tests.bench.load import Figures, Load
from tests.bench.rig import Rig


class Subject(Protocol):
    """Something that answers tasks."""

    @property
    def name(self) -> str: ...

    async def round(self, load: Load, lasts_s: float, at_once: int) -> Figures: ...


@dataclass
class Process:
    """A process that answers from the broker, and where it is asked."""

    process: psutil.Process
    key: str
    name: str
    exchange: str = TASKS
    answered: int = 0
    """Tasks in all rounds so far."""

    async def round(self, load: Load, lasts_s: float, at_once: int) -> Figures:
        figures = await load.measured(self.process, self.exchange, self.key, lasts_s, at_once)
        self.answered += figures.tasks
        return figures


async def alternating(
    load: Load, subjects: Sequence[Subject], rig: Rig, at_once: int
) -> dict[str, list[Figures]]:
    """Every round of each, in order, by name. Before the first, each warms up: statements get
    compiled, connections opened."""
    for subject in subjects:
        await subject.round(load, rig.lasts_s / 2, at_once)
    measured: dict[str, list[Figures]] = {subject.name: [] for subject in subjects}
    for _ in rig.rounds():
        for subject in subjects:
            measured[subject.name].append(await subject.round(load, rig.lasts_s, at_once))
    return measured


def median(rounds: Sequence[Figures], of: Callable[[Figures], float]) -> float:
    return statistics.median(of(figures) for figures in rounds)


def ratio(
    these: Sequence[Figures], those: Sequence[Figures], of: Callable[[Figures], float]
) -> float:
    """The median of each round's ratio: what slowed a whole round slowed both."""
    return statistics.median(of(a) / of(b) for a, b in zip(these, those, strict=True))
