"""The crash points: each names something that exists."""

from __future__ import annotations

import importlib
from operator import attrgetter

import pytest

from tests.support.processes.crashing import POINTS, Place


@pytest.mark.parametrize("place", POINTS.values(), ids=POINTS.keys())
def test_a_crash_point_is_a_function_of_the_product(place: Place) -> None:
    assert callable(attrgetter(place.name)(importlib.import_module(place.module)))
