"""The preload, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import REPOSITORY

CODE = """
import asyncio, sys, threading
from services.agent.llm.client import OpenAIModel
from services.agent.preload import preload
from shared.settings.environment import Settings
from shared.store.database.engine import create

preload()
assert threading.active_count() == 1
imported = set(sys.modules)
create(Settings.from_environment().store)
asyncio.run(OpenAIModel("gpt", "https://127.0.0.1:9/v1").warm())
print(sorted(set(sys.modules) - imported), "asyncpg" in imported)
"""


def output(code: str, folder: Path, **settings: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), **settings}
    return subprocess.check_output(
        [sys.executable, "-c", code], env=environment, cwd=folder, text=True
    )


@pytest.mark.parametrize(
    ("store", "driver"),
    [("sqlite:///hutch.db", False), ("postgresql://hutch:secret@127.0.0.1:9/hutch", True)],
)
def test_after_it_a_start_imports_nothing_and_only_the_store_s_driver_is_loaded(
    tmp_path: Path, store: str, driver: bool
) -> None:
    assert output(CODE, tmp_path, HUTCH_STORE=store) == f"[] {driver}\n"


def test_wrong_settings_are_left_to_the_processes(tmp_path: Path) -> None:
    wrong = {"SSL_CERT_FILE": os.devnull, "HUTCH_STORE": "mysql://hutch", "HUTCH_DRAIN_S": "soon"}
    code = "from services.agent.preload import preload; preload(); print('done')"
    assert output(code, tmp_path, **wrong) == "done\n"
