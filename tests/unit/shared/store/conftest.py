"""Each test of the store runs on SQLite and on PostgreSQL."""

from tests.support.stores.fixtures import on_both_stores as pytest_generate_tests

__all__ = ["pytest_generate_tests"]
