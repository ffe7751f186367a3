"""The commands that depend on the broker's version."""

from __future__ import annotations

import base64

from tests.support.brokers.rabbitmq import Rabbit
from tests.support.processes.running import System


def test_a_wrong_password_is_one_sentence_that_does_not_show_it(system: System) -> None:
    wrong = system.env["RABBITMQ_URL"].replace("guest:guest", "guest:hunter2")
    said = system.hutch("ask", "alice", "Hi", RABBITMQ_URL=wrong)
    assert said.returncode == 1
    assert len(said.stderr.splitlines()) == 1
    assert "refused the user 'guest': correct the user or password" in said.stderr
    assert "hunter2" not in said.stderr


def test_an_answer_comes_though_the_connection_was_lost_meanwhile(
    system: System, rabbit: Rabbit
) -> None:
    system.agents("bob")
    asking = system.start("services.cli", "ask", "bob", "Hello [[latency 4]]")
    asking.wait_for("bob begins")
    rabbit.close_connections()
    assert asking.ended() == 0
    assert "Hello" in asking.output


def test_the_broker_imports_the_topology_and_the_agents_find_nothing_to_change(
    system: System, rabbit: Rabbit
) -> None:
    printed = base64.b64encode(system.hutch("topology").stdout.encode()).decode()
    file = f"/tmp/{rabbit.vhost}.json"  # where the broker runs, which may be a container
    rabbit.ctl("eval", f'ok = file:write_file("{file}", base64:decode("{printed}")).')
    rabbit.ctl("import_definitions", file)
    rabbit.ctl("eval", f'ok = file:delete("{file}").')
    listed = rabbit.ctl("list_queues", "-p", rabbit.vhost, "name").split()
    assert {"agent.bob", "swarm.tom", "dead", "events", "unrouted"} <= set(listed)
    system.agents("bob", "tom")
    assert system.hutch("ask", "bob", "Hello").returncode == 0
