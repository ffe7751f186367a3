"""What a process makes of orders on SQLite it makes of them on PostgreSQL: the same tests."""

import pytest

from tests.support.stores.fixtures import store
from tests.unit.services.agent.upkeep.test_commands import *  # noqa: F403 - each is a test

__all__ = ["store"]

pytestmark = pytest.mark.essential
