"""The processes of `hutch up`, as the fork server executes them."""

from __future__ import annotations

from importlib import import_module

import pytest


@pytest.mark.parametrize("service", ["agent", "scheduler", "gateway", "scripted", "local"])
def test_each_service_has_a_function_that_the_fork_server_calls(service: str) -> None:
    assert callable(import_module(f"services.{service}.__main__").main)
