"""`hutch approvals`, `approve` and `deny`: what is listed, decided and answered."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from shared.contract.approvals import ApprovalRequest
from shared.store import open_store
from shared.store.runs.approvals import ask
from tests.support.command_line import hutch
from tests.support.stores.steps import owned

PAY = ApprovalRequest(1, 1, "tool", "pay", '{"amount": 150}', expires_s=86400)


@pytest.fixture(autouse=True)
def store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    assert hutch("migrate").exit_code == 0
    monkeypatch.setenv("HUTCH_CALLER", "tom")
    return f"sqlite:///{folder.parent / 'hutch.db'}"


def parked(store: str, *tasks: str) -> list[str]:
    """Runs of alice that ask for approval; the ids of their requests."""

    async def asked() -> list[str]:
        found: list[str] = []
        async with open_store(store) as opened:
            for task in tasks:
                run = await owned(opened, task)
                write = partial(ask, run=run, requests=[PAY], definition=lambda _: "d")
                found += [it.approval_id for it in await opened.write(run.run_id, write)]
        return found

    return asyncio.run(asked())


def damaged(store: str, values: str) -> None:
    async def write() -> None:
        async with open_store(store) as opened:
            statement = text(f"UPDATE approvals SET {values}")
            await opened.write("", lambda db: db.execute(statement).close())

    asyncio.run(write())


def test_nothing_waits() -> None:
    found = hutch("approvals")
    assert (found.exit_code, found.stdout) == (0, "")
    assert found.stderr == "no call waits for approval\n"
    assert json.loads(hutch("approvals", "--json").stdout) == []


def test_what_waits_is_listed_in_pages(store: str) -> None:
    ids = parked(store, "t1", "t2", "t3")
    listed = [it["approval_id"] for it in json.loads(hutch("approvals", "--json").stdout)]
    assert sorted(listed) == sorted(ids)
    first = hutch("approvals", "--limit", "2")
    assert f"{listed[0]}  " in first.stdout
    assert '{"amount": 150}' in first.stdout
    assert first.stderr == f"later ones: the same command with --after {listed[1]}\n"
    [rest] = json.loads(hutch("approvals", "--after", listed[1], "--json").stdout)
    assert (rest["approval_id"], rest["arguments"]) == (listed[2], {"amount": 150})
    [of_run] = json.loads(hutch("approvals", "--run", "t2", "--json").stdout)
    assert of_run["approval_id"] == ids[1]


def test_a_number_that_json_does_not_have_is_listed_as_text(store: str) -> None:
    parked(store, "t1")
    damaged(store, "arguments = '{\"amount\": Infinity}'")
    [found] = json.loads(hutch("approvals", "--json").stdout)
    assert found["arguments"] == '{"amount": Infinity}'


def test_a_decision_has_a_name_a_time_and_a_reason(store: str) -> None:
    [id] = parked(store, "t1")
    done = hutch("approve", id[:6].upper(), "--note", "A known customer.")
    assert (done.exit_code, done.stdout) == (
        0,
        f"pay of alice is approved; run {run('t1')} goes on\n",
    )
    assert json.loads(hutch("approvals", "--json").stdout) == []
    [found] = json.loads(hutch("approvals", "--all", "--json").stdout)
    assert (found["state"], found["decided_by"], found["note"]) == (
        "approved",
        "tom",
        "A known customer.",
    )
    assert found["decided_at"] >= found["asked_at"]


def run(task: str) -> str:
    [found] = json.loads(hutch("approvals", "--all", "--run", task, "--json").stdout)
    return str(found["run_id"])[:12]


def test_the_same_decision_again_is_no_fault_and_another_one_is(store: str) -> None:
    [id] = parked(store, "t1")
    assert hutch("deny", id, "--note", "Too much.\nAsk again.").exit_code == 0
    again = hutch("deny", id)
    assert again.exit_code == 0
    assert "was already denied by tom at " in again.stdout
    assert "nothing has changed" in again.stdout
    assert "Ask again" not in again.stdout
    other = hutch("approve", id, "--json")
    assert (other.exit_code, other.stdout) == (1, "")
    assert "was already denied by tom at " in other.stderr
    assert other.stderr.endswith("; that stays\n")


def test_an_id_that_is_not_known_or_means_several_decides_nothing(store: str) -> None:
    ids = parked(store, *(f"t{number}" for number in range(40)))
    unknown = hutch("approve", "zzzzzzzzzz")
    assert unknown.exit_code == 1
    assert unknown.stderr == (
        "hutch: no request has the id 'zzzzzzzzzz': 'hutch approvals' lists them\n"
    )
    shared = next(it[0] for it in ids if sum(other[0] == it[0] for other in ids) > 1)
    several = hutch("deny", shared)
    assert several.exit_code == 1
    assert "means more than one request; name one: " in several.stderr
    assert len(json.loads(hutch("approvals", "--json").stdout)) == 40


def test_a_run_is_shown_with_its_requests_and_how_to_decide(store: str) -> None:
    [id] = parked(store, "t1")
    shown = hutch("show", "t1").stdout
    assert f"approval {id} of alice for pay: pending until " in shown
    assert f"'hutch approve {id}' or 'hutch deny {id}'" in shown
    assert "waits for pay" in shown
    hutch("deny", id, "--note", "Too much.")
    shown = hutch("show", "t1").stdout
    assert ": Too much." in shown
    assert "hutch approve" not in shown
    [found] = json.loads(hutch("show", "t1", "--json").stdout)["approvals"]
    assert (found["state"], found["decided_by"]) == ("denied", "tom")


@pytest.mark.parametrize("values", ["asked_at = 'never'", "state = '?'", "arguments = '{'"])
def test_a_damaged_request_is_shown_too(store: str, values: str) -> None:
    parked(store, "t1")
    damaged(store, values)
    assert hutch("approvals", "--all").exit_code == 0
    assert len(json.loads(hutch("approvals", "--all", "--json").stdout)) == 1
