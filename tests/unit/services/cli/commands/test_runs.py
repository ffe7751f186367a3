"""`hutch runs`: filters, pages, columns."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.cli.options import past
from shared.errors import SettingsError
from shared.store import open_store
from shared.store.database.migrate import migrate
from shared.store.runs.claim import freeze
from tests.support.command_line import hutch
from tests.support.stores.steps import DEFINITION, a_moment_later, claimed, ended, owned, request

NOON = datetime(2026, 11, 30, 12).astimezone()


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store with three runs: an ended one, a tick, and the newest one in a session."""
    url = f"sqlite:///{tmp_path / 'hutch.db'}"
    monkeypatch.setenv("HUTCH_STORE", url)
    monkeypatch.setenv("HUTCH_AGENTS", str(tmp_path))
    asyncio.run(_fill(url))


async def _fill(url: str) -> None:
    await migrate(url)
    async with open_store(url) as store:
        await store.write("", lambda db: freeze(db, DEFINITION, "{}"))
        await ended(store, await owned(store, "first"))
        for asked in (
            replace(request("second"), kind="tick", message='{"content": "Sum up."}'),
            replace(request("third"), session="s1", message='{"content": "Write\\non lifts"}'),
        ):
            await a_moment_later(store)
            await claimed(store, asked)


def listed(*arguments: str) -> Sequence[str]:
    """The texts of the listed runs."""
    done = hutch("runs", *arguments)
    assert done.exit_code == 0, done.stderr
    return [line.rpartition("  ")[2].strip() for line in done.stdout.splitlines()[1:]]


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        ([], ["Write on lifts", "Sum up.", "hello"]),
        (["--kind", "tick"], ["Sum up."]),
        (["--kind", "tick", "--kind", "task"], ["Write on lifts", "Sum up.", "hello"]),
        (["--status", "ok"], ["hello"]),
        (["--status", "delayed"], []),
        (["--status", "ok", "--status", "running"], ["Write on lifts", "Sum up.", "hello"]),
        (["--session", "s1"], ["Write on lifts"]),
        (["--since", "1h"], ["Write on lifts", "Sum up.", "hello"]),
        (["--until", "1h"], []),
    ],
)
def test_runs_are_chosen_by_filters(arguments: list[str], texts: list[str]) -> None:
    assert listed(*arguments) == texts


def test_a_page_ends_with_the_option_that_shows_the_next_one() -> None:
    first = hutch("runs", "--limit", "2")
    assert len(first.stdout.splitlines()) == 3
    option, run = first.stderr.split()[-2:]
    assert listed(option, run) == ["hello"]
    assert hutch("runs", option, run).stderr == ""


def test_columns_without_content_are_left_out() -> None:
    head, *_ = hutch("runs").stdout.splitlines()
    assert " ".join(head.split()) == "run claimed agent kind status took task id text"


def test_delayed_runs_are_those_due_ones_that_may_not_start_yet(tmp_path: Path) -> None:
    async def delay() -> None:
        async with open_store(f"sqlite:///{tmp_path / 'hutch.db'}") as store:
            later = datetime.now(UTC) + timedelta(minutes=150)
            await claimed(store, replace(request("later"), not_before=later.timestamp()))

    asyncio.run(delay())
    assert listed("--status", "delayed") == ["hello"]
    assert listed("--status", "due") == ["hello"]
    assert "due in 2 h" in hutch("runs", "--status", "delayed").stdout


def test_a_list_without_a_run_says_where_it_looked() -> None:
    listed = hutch("runs", "--session", "s2")
    assert (listed.exit_code, listed.stdout) == (0, "")
    assert listed.stderr.startswith("no such runs in ")


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("1h30m", NOON - timedelta(minutes=90)),
        ("09:00", NOON.replace(hour=9)),
        ("2026-11-29", datetime(2026, 11, 29).astimezone()),
        ("2026-11-29T09:00Z", datetime(2026, 11, 29, 9, tzinfo=UTC)),
    ],
)
def test_a_past_time_is_a_duration_or_a_local_time(text: str, at: datetime) -> None:
    assert past("--since", text, NOON) == at


@pytest.mark.parametrize("text", ["yesterday", "", "2026", "9999999999d"])
def test_a_text_that_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(SettingsError, match=r"--since: '.*' is no time: it is like 2h, 09:00"):
        past("--since", text, NOON)
