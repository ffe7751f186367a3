from __future__ import annotations

import pytest

from tests.bench.costs import Agents, a_second, beyond, more


def figures(at_s: float, cpu_s: float) -> Agents:
    return Agents(at_s, cpu_s, written_mb=2.0, pss_mb=80.0, rss_mb=90.0)


def test_the_use_per_second_is_computed_with_the_time_between_the_readings() -> None:
    used = a_second(figures(100, 3), figures(125, 8))
    assert used.cpu_s == pytest.approx(0.2)
    assert used.written_mb == 0


def test_the_added_cost_is_the_difference_of_two_measurements() -> None:
    assert more(figures(100, 3), figures(125, 8)).cpu_s == 5


def test_figures_beyond_two_measurements_are_extrapolated_linearly() -> None:
    ten, hundred = figures(0, 13), figures(0, 103)
    thousand = beyond(ten, hundred, (1000 - 100) / (100 - 10))
    assert thousand.cpu_s == pytest.approx(1003)
    assert thousand.pss_mb == 80
