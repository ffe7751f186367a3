"""CommandRunner in processes of their own: their limits, and what a slow or absent client costs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.gateway.problems import Problem
from services.gateway.system import commands
from services.gateway.system.commands import MOST_AT_ONCE, Command, CommandRunner, Terminal
from shared.process.stopping import Stopping

TERMINAL = Terminal(80, 24, False, False, {})

PROGRAM = """
import sys, time
match sys.argv[1]:
    case "wait":
        print("waiting", flush=True)
        time.sleep(600)
    case "flood":
        for number in range(200_000):
            print("x" * 100)
    case "both":
        sys.stdout.write("ä" + sys.stdin.read())
        sys.stdout.flush()
        sys.stderr.write("no")
        sys.exit(3)
    case "stubborn":
        import signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("waiting", flush=True)
        time.sleep(600)
    case "terminal":
        import os
        print(sys.stdout.isatty(), sys.stderr.isatty(), os.get_terminal_size(1))
    case "environment":
        import os
        print([os.environ.get(name) for name in ("HUTCH_GATEWAY", "TZ", "HUTCH_CALLER")])
"""


@pytest.fixture
async def running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[CommandRunner, Stopping]]:
    """CommandRunner of a program of the test's in place of `hutch`."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    monkeypatch.setattr(commands, "PYTHON", (commands.PYTHON[0], str(program)))
    stopping = Stopping()
    it = CommandRunner(stopping)
    serving = asyncio.create_task(it.serve())
    await asyncio.sleep(0)
    yield it, stopping
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


def command(name: str, stdin: str | None = None, terminal: Terminal = TERMINAL) -> Command:
    return Command([name], stdin, terminal, "ann")


async def outcome(it: CommandRunner, asked: Command) -> dict[str, str | int]:
    found: dict[str, str | int] = {"stdout": "", "stderr": ""}
    async for line in it.output(asked):
        for name, part in json.loads(line or "{}").items():
            found[name] = part if name == "exit" else f"{found[name]}{part}"
    return found


async def until_none(it: CommandRunner) -> None:
    async with asyncio.timeout(30):
        while it._running:  # noqa: ASYNC110 - the end of a job sets no event
            await asyncio.sleep(0.01)


Running = tuple[CommandRunner, Stopping]


async def test_stdout_stderr_and_the_exit_code_are_kept_apart(running: Running) -> None:
    found = await outcome(running[0], command("both", "bc"))
    assert found == {"stdout": "äbc", "stderr": "no", "exit": 3}


async def test_a_terminal_has_the_clients_size_and_a_pipe_is_no_terminal(running: Running) -> None:
    terminal = Terminal(91, 33, True, False, {})
    found = await outcome(running[0], command("terminal", terminal=terminal))
    assert found["stdout"] == "True False os.terminal_size(columns=91, lines=33)\n"


async def test_the_clients_variables_are_its_name_and_those_of_its_terminal(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUTCH_GATEWAY", "http://a-loop")
    terminal = Terminal(80, 24, False, False, {"TZ": "Asia/Tokyo"})
    found = await outcome(running[0], command("environment", terminal=terminal))
    assert found["stdout"] == "[None, 'Asia/Tokyo', 'ann']\n"


async def test_only_so_many_run_at_a_time(running: Running) -> None:
    it, _ = running
    *streams, late = [it.output(command("wait")) for _ in range(MOST_AT_ONCE + 1)]
    for stream in streams:
        assert "waiting" in await anext(stream)
    assert "too many commands" in await anext(late), "it was accepted before the others began"
    with pytest.raises(Problem) as refused:
        it.output(command("wait"))
    assert refused.value.status == 503
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
    await until_none(it)
    assert (await outcome(it, command("both", "")))["exit"] == 3


async def test_a_command_whose_client_leaves_is_interrupted_and_then_killed(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "INTERRUPT_S", 0.5)
    it, _ = running
    for name in ("wait", "stubborn"):
        stream = it.output(command(name))
        assert "waiting" in await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]  # it is a generator
        await until_none(it)


async def test_a_command_waits_for_a_client_that_reads_nothing(running: Running) -> None:
    it, _ = running
    stream = it.output(command("flood"))
    read = len(await anext(stream))
    await asyncio.sleep(1)
    assert it._running == 1, "it is not read ahead of the client"
    async for line in stream:
        read += len(line)
    assert read > 200_000 * 100


async def test_a_gateway_that_ends_interrupts_its_commands_and_says_so(running: Running) -> None:
    it, stopping = running
    stream = it.output(command("wait"))
    assert "waiting" in await anext(stream)
    stopping.ask("drain")
    rest = "".join([line async for line in stream])
    assert "this gateway ends" in rest
    assert json.loads(rest.splitlines()[-1])["exit"] != 0
    with pytest.raises(Problem):
        it.output(command("wait"))
