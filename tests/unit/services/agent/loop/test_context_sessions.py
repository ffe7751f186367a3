"""A session that is longer than the context of its model."""

from __future__ import annotations

from services.agent.llm.chat import Completion
from services.agent.loop.journal import MemoryJournal
from services.agent.loop.loop import run
from services.agent.loop.work import Work
from shared.contract.messages import Status, Task
from shared.store import Store
from tests.support.model.doubles import ScriptedTools, ScriptedWorkers, says
from tests.support.model.loop import work
from tests.support.model.window import WindowModel, body
from tests.support.stores.sessions import begun, over

TASKS = 500
WINDOW = 4_000


def answers(_: int) -> Completion:
    return says("It is noted. " * 100)


async def recalling(store: Store, number: int) -> Work:
    """The next task of the session, which ends at once with a long answer."""
    begins = await begun(store, f"t{number}")
    await over(store, begins, "It is noted. " * 100)
    return work(Task(content=f"task t{number}")).model_copy(update={"recalled": begins.recalled})


async def test_a_session_of_many_tasks_ends_without_a_refusal(store: Store) -> None:
    model = WindowModel(WINDOW, answers)
    for number in range(1, TASKS + 1):
        it = (await recalling(store, number)).model_copy(update={"window": WINDOW})
        outcome = await run(it, model, ScriptedTools(), ScriptedWorkers(), MemoryJournal())
        assert outcome.status is Status.OK
    assert model.refused == []
    assert len(model.answered) == TASKS
    assert f"task t{TASKS - 1}" in str(model.answered[-1].history)


async def test_the_requests_of_a_session_share_their_beginning(store: Store) -> None:
    model = WindowModel(1_000_000, answers)
    for number in range(1, 16):
        it = await recalling(store, number)
        await run(it, model, ScriptedTools(), ScriptedWorkers(), MemoryJournal())
    for one, following in zip(model.answered, model.answered[1:], strict=False):
        until_the_time = body(one).index(b"It is 2026")
        assert body(following)[: until_the_time - 4] == body(one)[: until_the_time - 4]
