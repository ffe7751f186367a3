"""Commands over real sockets."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from services.cli.up import control
from shared.errors import HutchError


async def handle(command: list[str]) -> str:
    match command:
        case ["restart", "bob"]:
            return "bob is restarted"
        case ["restart", "broken"]:
            raise HutchError("bob.yaml: one\nbob.yaml: two")
        case [control.END]:
            await asyncio.sleep(0.2)
    return ""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A relative path: that of a socket has a limit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "getpid", iter(range(1, 1000)).__next__)  # each call, another process
    return Path(".hutch")


async def answers(home: Path, *command: str) -> list[str]:
    return [answer async for answer in control.answers(home, *command)]


async def test_each_process_that_runs_the_agent_answers(home: Path) -> None:
    async with control.served(home, handle), control.served(home, handle):
        assert await answers(home, "restart", "bob") == ["bob is restarted"] * 2
        assert await answers(home, "restart", "alice") == []
    assert await answers(home, "restart", "bob") == []


async def test_a_failure_is_raised_where_the_command_was_given(home: Path) -> None:
    async with control.served(home, handle):
        with pytest.raises(HutchError, match=r"^bob\.yaml: one; bob\.yaml: two$"):
            await answers(home, "restart", "broken")


async def test_the_end_is_awaited_and_a_killed_process_does_not_count(home: Path) -> None:
    async with control.served(home, handle):
        with socket.socket(socket.AF_UNIX) as killed:
            killed.bind(str(home / "up" / "killed.sock"))
        assert await control.end_others(home) == 1
    assert not list((home / "up").iterdir())


async def test_only_the_user_reaches_the_sockets(home: Path) -> None:
    async with control.served(home, handle):
        assert (home / "up").stat().st_mode & 0o077 == 0


async def test_where_no_socket_can_be_the_agents_still_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with control.served(tmp_path / ("long" * 50), handle):
        assert "'hutch restart', 'scale' and 'down' do not work here" in capsys.readouterr().err
