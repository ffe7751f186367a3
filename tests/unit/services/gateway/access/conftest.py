from __future__ import annotations

from functools import partial

import pytest

from shared.store import Store
from tests.support.guarded import Served, serve


@pytest.fixture
def served(store: Store) -> Served:
    return partial(serve, store)
