"""Every kind of endpoint, played by a strict mock: an agent with a tool and a worker.

The mocks are built from public reports; no provider was asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from services.agent.llm.chat import Completion, OnText, Request
from services.agent.llm.client import OpenAIModel
from services.agent.llm.registry import build
from services.agent.loop.journal import MemoryJournal, StepKey
from services.agent.loop.loop import run
from services.agent.loop.work import Outcome
from shared.contract.messages import Status, Task
from shared.definitions.model import Definition, ModelChoice
from shared.definitions.models.profiles import profile
from shared.settings.environment import Settings
from tests.support.model.doubles import ScriptedTools, ScriptedWorkers
from tests.support.model.endpoints.conversation import ANSWER, CONCLUSION, SILENT
from tests.support.model.endpoints.matrix import ROWS, Row
from tests.support.model.endpoints.server import Endpoints
from tests.support.model.loop import work

each_row = pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])


@pytest.fixture(scope="module")
def mocks() -> Iterator[Endpoints]:
    with Endpoints().serving() as serving:
        yield serving


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch, mocks: Endpoints) -> None:
    monkeypatch.setenv("AZURE_KEY", "key")
    mocks.reset()


UNKNOWN = [
    replace(row, choice=row.choice | {"profile": "generic"})
    for row in ROWS
    if row.choice.get("api", profile("", row.model, row.profile).wire) == "chat"
    and row.profile != "azure-deployment"
]
"""The same endpoints at hosts that no profile names, such as proxies."""


class Streamed:
    """A model whose replies are streamed; `text` is what a reader has at the end."""

    def __init__(self, model: OpenAIModel) -> None:
        self.model = model
        self.text = ""

    async def complete(self, request: Request, on_text: OnText | None = None) -> Completion:
        self.text = ""
        return await self.model.complete(request, self._read)

    def _read(self, piece: str) -> None:
        self.text = self.text + piece if piece else ""


class Agent:
    """An agent's run at a row: its model is made anew for each run."""

    def __init__(self, mocks: Endpoints, row: Row) -> None:
        self.mocks, self.row = mocks, row
        self.journal = MemoryJournal()
        self.tools = ScriptedTools({"lookup": lambda it: f"found {it['order']}"})
        self.workers = ScriptedWorkers()
        self.shown = ""

    def model(self) -> OpenAIModel:
        choice = ModelChoice.model_validate(
            {
                "name": self.row.model,
                "base_url": self.mocks.url(self.row),
                "profile": self.row.profile,
                "temperature": 0.2,
                "max_output_tokens": 500,
                **self.row.choice,
            }
        )
        return build(Definition(name="alice", model=choice), Settings(_env_file=None))

    async def run(
        self, content: str = "Do it.", turns: int = 10, *, streamed: bool = False
    ) -> Outcome:
        model = self.model()
        asked = Streamed(model)
        try:
            return await run(
                work(Task(content=content), tools=("lookup",), turns=turns),
                asked if streamed else model,
                self.tools,
                self.workers,
                self.journal,
            )
        finally:
            await model.close()
            self.shown = asked.text

    def refused(self) -> list[object]:
        return [it.body for it in self.mocks.refusals[self.row.name]]


@pytest.fixture
def agent(mocks: Endpoints, row: Row) -> Agent:
    return Agent(mocks, row)


@each_row
async def test_an_agent_with_a_tool_and_a_worker_ends_ok_over_two_turns(agent: Agent) -> None:
    outcome = await agent.run()
    assert (outcome.status, outcome.content) == (Status.OK, ANSWER), outcome.detail
    assert [arguments["order"] for _, arguments in agent.tools.log] == [1, 2]
    assert agent.workers.log[0] == "bob: write"
    assert agent.refused() == []


@pytest.mark.parametrize("row", UNKNOWN, ids=[row.name for row in UNKNOWN])
async def test_an_endpoint_that_no_profile_names_is_learnt_from_its_refusals(agent: Agent) -> None:
    outcome = await agent.run()
    assert (outcome.status, outcome.content) == (Status.OK, ANSWER), outcome.detail


@each_row
async def test_a_run_ends_ok_over_a_resume_in_another_process(agent: Agent) -> None:
    whole = await agent.run()
    sent = agent.mocks.requests[agent.row.name][-1]
    agent.journal.steps = {key: it for key, it in agent.journal.steps.items() if key.turn == 1}
    assert await agent.run() == whole
    assert agent.mocks.requests[agent.row.name][-1] == sent
    assert agent.refused() == []


@each_row
async def test_streamed_replies_are_the_same(agent: Agent) -> None:
    outcome = await agent.run(streamed=True)
    assert (outcome.status, outcome.content) == (Status.OK, ANSWER), outcome.detail
    assert [arguments["order"] for _, arguments in agent.tools.log] == [1, 2]
    assert agent.shown == ANSWER
    assert agent.refused() == []


@each_row
async def test_a_nudge_after_a_tools_result_is_taken(agent: Agent) -> None:
    outcome = await agent.run(SILENT)
    assert (outcome.status, outcome.content) == (Status.OK, ANSWER), outcome.detail
    assert agent.refused() == []


@each_row
async def test_a_conclusion_after_a_tools_result_is_taken(agent: Agent) -> None:
    outcome = await agent.run(turns=1)
    assert (outcome.status, outcome.content) == (Status.PARTIAL, CONCLUSION), outcome.detail
    assert len(agent.refused()) == agent.row.refusals


@each_row
async def test_cached_and_reasoning_tokens_are_counted(agent: Agent) -> None:
    outcome = await agent.run()
    if agent.row.name != "wrong-types":
        usage = outcome.usage
        assert (usage.cached_tokens, usage.reasoning_tokens) == (12, 6)
    assert StepKey(3, 0) in agent.journal.steps
