"""What the store promises it promises on SQLite and on PostgreSQL: each test runs on both."""

from tests.support.stores.fixtures import on_both_stores as pytest_generate_tests

__all__ = ["pytest_generate_tests"]
