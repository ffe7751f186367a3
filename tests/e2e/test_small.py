"""The small compose file: one container for the scheduler and all agents."""

from __future__ import annotations

import json

from tests.support.machine import need
from tests.support.repository import REPOSITORY
from tests.support.stack import Stack


def test_one_container_runs_all_agents_and_drains_when_it_is_stopped() -> None:
    need("docker")
    stack = Stack(REPOSITORY, COMPOSE_FILE="docker-compose.small.yml", PROVIDER="scripted")
    try:
        stack.compose("up", "--build", "--detach", "--wait")
        question = "Ask Bob to write an email about rabbits."
        assert "Subject:" in stack.compose(
            "exec", "-T", "agents", "hutch", "ask", "alice", question
        )
        task = stack.ask_by_gateway("bob", "Write about rabbits.", service="agents")
        assert task["status"] == "ok", task
        stack.compose("stop", "agents")
        [code] = [it["ExitCode"] for it in stack.containers() if it["Service"] == "agents"]
        assert code == 0
        lines = stack.compose("logs", "--no-log-prefix", "--no-color", "agents").splitlines()
        # Compose begins each line with a control code.
        messages = [json.loads(line[line.index("{") :])["message"] for line in lines]
        assert messages.count("consuming") == 9
        assert messages.count("ended") == 11  # also the scheduler's and the gateway's
    finally:
        stack.compose("down", "--volumes")
