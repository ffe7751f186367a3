"""The line that says that the agents of 'hutch up' are ready."""

from __future__ import annotations

from services.cli.up.readiness import Readiness

JSON = '{"time": "2026-11-30T13:48:00Z", "message": "consuming", "queue": "agent.alice"}'
TERMINAL = "2026-11-30T13:48:00Z [info     ] consuming            [agent] queue=agent.bob"
READY = 'ready: hutch ask alice "…" in another terminal'


def test_agents_are_ready_once_when_each_consumes() -> None:
    said: list[str] = []
    readiness = Readiness(["alice", "bob"], said.append)
    for name, line in (
        ("bob", TERMINAL),
        ("scheduler", TERMINAL),
        ("alice", '{"message": "consuming is what she will do"}'),
    ):
        readiness.see(name, line)
    assert said == []
    for _ in range(2):  # the second time after a restart
        readiness.see("alice", JSON)
    assert said == [READY]


def test_an_agent_that_cannot_start_is_not_awaited() -> None:
    said: list[str] = []
    readiness = Readiness(["alice", "bob"], said.append)
    readiness.see("alice", JSON)
    readiness.see("bob", "not started again; the others go on")
    assert said == [READY]


def test_the_address_of_the_gateway_is_the_last_line_when_it_serves() -> None:
    said: list[str] = []
    readiness = Readiness(["alice"], said.append, "http://127.0.0.1:8765")
    readiness.see("alice", JSON)
    assert said == []
    readiness.see("gateway", '{"message": "the gateway is served", "port": 8765}')
    assert said == [READY, "page and API: http://127.0.0.1:8765"]


def test_a_gateway_that_cannot_start_is_not_awaited() -> None:
    said: list[str] = []
    readiness = Readiness(["alice"], said.append, "http://127.0.0.1:8765")
    readiness.see("gateway", "not started again; the others go on")
    readiness.see("alice", JSON)
    assert said == [READY]


def test_without_any_agent_that_consumes_none_is_ready() -> None:
    said: list[str] = []
    Readiness(["bob"], said.append).see("bob", "ended, 6 crashes within 120 s: not started again")
    assert said == []
