"""The order of happenings, and going on after each of them, over trees that grow at random."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest

from services.gateway.tasks.happenings import RunChanged, StepDone
from services.gateway.tasks.place import Place
from services.gateway.tasks.progress import Progress
from shared.contract.call_ids import Call, call_id
from shared.contract.messages import run_id
from shared.store.queries.progress import ApprovalProgress, RunProgress, StepProgress

NOW = datetime(2026, 11, 30, tzinfo=UTC)
ROOT = run_id("alice", "t1")

Happening = RunChanged | StepDone


def made(agent: str, task_id: str) -> RunProgress:
    return RunProgress(
        run_id=run_id(agent, task_id),
        agent=agent,
        task_id=task_id,
        parent_id=None,
        root_id="t1",
        status="running",
        owner="a.1",
        epoch=1,
        claimed_at=NOW,
        ended_at=None,
    )


def step(run: RunProgress, turn: int, position: int) -> StepProgress:
    kind = "worker" if position > 0 else "model"
    return StepProgress(run.run_id, 1, turn, position, kind, "turn", 0.1, NOW)


def called_by(run: RunProgress, turn: int, position: int) -> RunProgress:
    worker = made("bob", call_id(Call(run.run_id, turn, position), "nonce"))
    return replace(worker, parent_id=run.task_id)


class Tree:
    """A store in memory, of which a client sees each commit, and what it has received."""

    def __init__(self) -> None:
        self.runs: dict[str, RunProgress] = {}
        self.steps: list[StepProgress] = []

    def put(self, run: RunProgress) -> RunProgress:
        self.runs[run.run_id] = run
        return run

    def end(self, run: RunProgress, status: str = "ok") -> RunProgress:
        return self.put(replace(run, status=status, owner=None, ended_at=NOW))

    def news(self, progress: Progress) -> list[Happening]:
        found = list(self.runs.values())
        wanted = progress.wanted(found)
        steps = [it for it in self.steps if it.turn >= wanted.get(it.run_id, 10**9)]
        steps.sort(key=lambda it: (it.turn, it.position))
        return list(progress.news(found, steps))


def said(happenings: list[Happening]) -> list[str]:
    return [
        f"{it.agent} {it.status}"
        if isinstance(it, RunChanged)
        else f"{it.agent} {it.turn}.{it.position}"
        for it in happenings
    ]


def test_a_call_is_done_after_all_of_the_run_that_it_caused() -> None:
    tree, progress = Tree(), Progress(ROOT, Place())
    alice = tree.put(made("alice", "t1"))
    bob = tree.end(called_by(alice, 1, 1))
    tree.steps += [step(alice, 1, 1), step(bob, 1, 0), step(alice, 1, 0)]
    assert said(tree.news(progress)) == [
        "alice running",
        "alice 1.0",
        "bob running",
        "bob 1.0",
        "bob ok",
        "alice 1.1",
    ]
    assert tree.news(progress) == []
    assert len(Place.parsed(progress.place).runs) == 1, "only open runs are named"


def test_a_step_that_is_committed_after_a_later_one_is_not_lost() -> None:
    tree, progress = Tree(), Progress(ROOT, Place())
    alice = tree.put(made("alice", "t1"))
    tree.steps += [step(alice, 1, 0), step(alice, 1, 2)]
    tree.news(progress)
    tree.steps.append(replace(step(alice, 1, 1), finished_at=datetime(2020, 1, 1, tzinfo=UTC)))
    resumed = Progress(ROOT, Place.parsed(progress.place))
    assert said(tree.news(resumed)) == ["alice 1.1"]


def test_a_takeover_and_a_replay_are_reported() -> None:
    tree, progress = Tree(), Progress(ROOT, Place())
    alice = tree.put(made("alice", "t1"))
    tree.news(progress)
    tree.put(replace(alice, owner="a.2"))
    assert [it.instance for it in tree.news(progress) if isinstance(it, RunChanged)] == ["a.2"]
    tree.end(alice)
    assert said(tree.news(progress)) == ["alice ok"]
    tree.put(replace(alice, epoch=2))
    assert said(tree.news(progress)) == ["alice running"]


def test_a_worker_that_outlives_its_call_is_followed_to_its_end() -> None:
    tree, progress = Tree(), Progress(ROOT, Place())
    alice = tree.put(made("alice", "t1"))
    bob = tree.put(called_by(alice, 1, 1))
    tree.steps += [step(alice, 1, 0)]
    tree.news(progress)
    tree.steps += [step(alice, 1, 1)]  # it has timed out
    assert said(tree.news(progress)) == ["alice 1.1"]
    tree.end(bob, "cancelled")
    assert said(tree.news(Progress(ROOT, Place.parsed(progress.place)))) == ["bob cancelled"]


def test_reactions_of_peers_and_forged_calls_are_not_part_of_the_tree() -> None:
    tree, progress = Tree(), Progress(ROOT, Place())
    tree.put(made("alice", "t1"))
    tree.put(made("carol", "carol-reacts"))
    tree.put(made("mallory", call_id(Call(ROOT, 1, 1), "guessed")))
    assert said(tree.news(progress)) == ["alice running"]


class Growing:
    """A tree in which random runs commit their next thing, as their processes would."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.tree = Tree()
        self.turns: dict[str, int] = {}
        self.open_calls: dict[str, dict[int, RunProgress | None]] = {}
        """Of each run that is in a turn: its calls without an answer, with the worker's run."""
        self.begin(made("alice", "t1"))

    def begin(self, run: RunProgress) -> RunProgress:
        self.turns[run.run_id] = 0
        return self.tree.put(run)

    def commit(self) -> bool:
        """Let one run commit one thing; False when all have ended."""
        busy = [it for it in self.tree.runs.values() if it.ended_at is None]
        if not busy:
            return False
        run = self.random.choice(busy)
        if self.random.random() < 0.1:
            self.tree.put(replace(run, owner=f"a.{self.random.randint(1, 99)}"))
        elif calls := self.open_calls.get(run.run_id):
            self._answer(run, calls)
        elif self.turns[run.run_id] >= 3 or len(self.tree.runs) > 25:
            self.tree.end(run)
        else:
            self._ask_model(run)
        return True

    def _ask_model(self, run: RunProgress) -> None:
        turn = self.turns[run.run_id] = self.turns[run.run_id] + 1
        self.tree.steps.append(step(run, turn, 0))
        calls = range(1, 1 + self.random.randint(0, 3))
        self.open_calls[run.run_id] = dict.fromkeys(calls)

    def _answer(self, run: RunProgress, calls: dict[int, RunProgress | None]) -> None:
        position, worker = self.random.choice(list(calls.items()))
        turn = self.turns[run.run_id]
        if worker is None and self.random.random() < 0.6:
            calls[position] = self.begin(called_by(run, turn, position))
        elif worker is None or self.tree.runs[worker.run_id].ended_at:
            self.tree.steps.append(step(run, turn, position))
            del calls[position]


@pytest.mark.parametrize("seed", range(100))
def test_wherever_a_client_is_cut_off_nothing_is_lost_and_nothing_comes_twice(seed: int) -> None:
    """One client goes on after the last happening that it has received, again and again."""
    growing = Growing(seed)
    tree, received, place = growing.tree, list[Happening](), ""
    while growing.commit():
        if growing.random.random() < 0.3:
            news = tree.news(Progress(ROOT, Place.parsed(place)))
            received += news[: growing.random.randint(0, len(news))]
            place = received[-1].place if received else ""
    last = Progress(ROOT, Place.parsed(place))
    received += tree.news(last)
    assert list(Place.parsed(last.place).runs) == [ROOT[:12]], "only what is open is named"
    steps = [(it.run_id, it.turn, it.position) for it in received if isinstance(it, StepDone)]
    assert sorted(steps) == sorted((it.run_id, it.turn, it.position) for it in tree.steps)
    for it in tree.runs.values():
        of_run = [one for one in received if one.run_id == it.run_id]
        assert isinstance(of_run[0], RunChanged), "a run begins before its steps"
        assert isinstance(of_run[-1], RunChanged), "a run ends after its steps"
        assert [one.status for one in of_run if isinstance(one, RunChanged)].count("ok") == 1


def test_a_run_is_reported_again_when_a_call_needs_approval_and_when_it_is_decided_on() -> None:
    progress = Progress(ROOT, Place())
    running = made("alice", "t1")
    parked = replace(running, status="parked", owner=None)
    asked = ApprovalProgress(
        approval_id="k7m2rq4d00",
        run_id=ROOT,
        agent="alice",
        turn=1,
        position=1,
        kind="tool",
        name="refund",
        state="pending",
        asked_at=NOW,
        expires_at=NOW,
        decided_at=None,
        decided_by=None,
    )
    approved = replace(asked, state="approved", decided_at=NOW, decided_by="ops")
    seen: list[tuple[str, list[str]]] = []
    for run, approvals in (
        (running, []),
        (parked, [asked]),
        (parked, [asked]),
        (parked, [approved]),
        (replace(parked, status="due"), [approved]),
    ):
        progress = Progress(ROOT, Place.parsed(progress.place))  # at another gateway
        progress.wanted([run])
        for it in progress.news([run], [], approvals):
            assert isinstance(it, RunChanged)
            seen.append((it.status, [one.state for one in it.approvals]))
    assert seen == [
        ("running", []),
        ("parked", ["pending"]),
        ("parked", ["approved"]),
        ("due", ["approved"]),
    ]
