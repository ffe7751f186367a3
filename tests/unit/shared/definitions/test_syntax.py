from __future__ import annotations

import gc
import inspect
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.definitions import loader
from shared.definitions.syntax import expression_tree, module_tree

SOURCE = inspect.getsource(loader)


class Garbage:
    """Lets another thread run when it is collected."""

    def __init__(self) -> None:
        self.cycle = self

    def __del__(self) -> None:
        time.sleep(0)


@pytest.fixture(autouse=True)
def many_collections() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(10, 1, 1)
    yield
    gc.set_threshold(*before)


def parse_often(_: int) -> None:
    for _round in range(20):
        for _object in range(3):
            Garbage()
        module_tree(SOURCE)
        expression_tree("len(prompt) > 2000 and amount in (1, 2, 3)")


def test_threads_that_parse_at_the_same_time_do_not_disturb_each_other() -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(parse_often, range(4)))
