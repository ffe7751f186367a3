"""Tests that open a store of their own run on both kinds."""

from tests.support.stores.fixtures import on_both_stores as pytest_generate_tests

__all__ = ["pytest_generate_tests"]
