"""Alternating rounds: who is compared is measured in turn, so that both meet the same noise."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

from shared.contract.topology import TASKS
from tests.bench.load import Figures, Load

ROUNDS = 5
WARM_UP = 200
"""Tasks before the first round: statements get compiled, connections opened."""


@dataclass(frozen=True)
class Subject:
    """A process that answers, and where it is asked."""

    name: str
    process: psutil.Process
    key: str
    exchange: str = TASKS


async def warm_up(load: Load, subjects: Sequence[Subject], at_once: int) -> None:
    for subject in subjects:
        await load.asked(subject.exchange, subject.key, WARM_UP, at_once)


async def round_of(load: Load, subject: Subject, tasks: int, at_once: int) -> Figures:
    return await load.measured(subject.process, subject.exchange, subject.key, tasks, at_once)


async def alternating(
    load: Load, subjects: Sequence[Subject], *, tasks: int, at_once: int
) -> dict[str, list[Figures]]:
    """Every round of each, in order, by name."""
    await warm_up(load, subjects, at_once)
    measured: dict[str, list[Figures]] = {subject.name: [] for subject in subjects}
    for _ in range(ROUNDS):
        for subject in subjects:
            measured[subject.name].append(await round_of(load, subject, tasks, at_once))
    return measured


def median(rounds: Sequence[Figures], of: Callable[[Figures], float]) -> float:
    return statistics.median(of(figures) for figures in rounds)


def ratio(
    these: Sequence[Figures], those: Sequence[Figures], of: Callable[[Figures], float]
) -> float:
    """The median of each round's ratio: what slowed a whole round slowed both."""
    return statistics.median(of(a) / of(b) for a, b in zip(these, those, strict=True))
