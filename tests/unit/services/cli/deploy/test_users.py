"""The users' permissions as patterns; integration tests try them on brokers."""

import re
from pathlib import Path

import pytest

from services.cli.deploy import users
from services.cli.deploy.users import TOPICS, User, whole
from shared.contract import access, topology
from shared.contract.access import agent_user
from shared.definitions.loader import load
from shared.definitions.model import Definition

KNOWN = load(Path("agents"))
EVERYBODY = {user.name: user for user in users.users(KNOWN)}
ID = "0123abcd"

NEIGHBOURS = ("a", "a-b", "b", "a-", "scheduler-", "cli", "id")
"""Names that begin or end like another one, or like a name of Hutch's own."""


def may(patterns: tuple[str, ...], name: str) -> bool:
    """Search as the broker does, anywhere in the name: only the anchors make a pattern whole."""
    return re.search(whole(patterns), name) is not None


def of(name: str, **fields: object) -> User:
    known = {name: Definition.model_validate({"name": name, **fields})}
    return users.users(known)[0]


def own(name: str) -> list[str]:
    """The queues and exchanges that a process of this agent declares."""
    instance = f"{name}.{ID}"
    made = topology.replies(name, instance) + topology.control(name, instance)
    made += topology.store_mark(name, "0123-abcd", instance)
    return [it.name for it in made.queues] + [it.name for it in made.exchanges]


def test_no_agents_user_has_a_name_that_is_taken() -> None:
    assert {agent_user(name) for name in KNOWN} <= set(EVERYBODY)
    assert all(agent_user(name).startswith("agent.") for name in KNOWN)


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_an_agent_may_declare_only_its_own_process_topology(name: str) -> None:
    user = EVERYBODY[agent_user(name)]
    assert all(may(user.configure, made) for made in own(name))
    shared = topology.system() + topology.mailbox(name)
    names = [it.name for it in shared.queues] + [it.name for it in shared.exchanges]
    assert not any(may(user.configure, it) for it in names)


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_no_agent_may_use_the_queues_of_another_with_a_similar_name(name: str) -> None:
    user = of(name, swarm="g", workers=[])
    others = [other for other in (*NEIGHBOURS, "scheduler") if other != name]
    theirs = [made for other in others for made in own(other)]
    theirs += [topology.mailbox_name(other) for other in others]
    theirs += [topology.swarm_queue_name(other) for other in others]
    theirs += [topology.reply_queue_name("cli", ID + ID[:4])]
    for patterns in (user.configure, user.read, user.write):
        assert not [it for it in theirs if may(patterns, it)]


def test_a_pattern_matches_whole_names_and_dots_are_dots() -> None:
    user = of("a")
    assert may(user.read, "agent.a")
    assert not any(may(user.read, name) for name in ("xagent.a", "agentxa", "agent.a.x"))


def test_no_patterns_match_no_name() -> None:
    assert re.search(whole(()), "hutch.tasks") is None


def test_only_an_agent_with_workers_may_publish_tasks_and_cancels_and_only_for_them() -> None:
    manager, worker = of("m", workers=["w"]), of("w")
    assert may(manager.write, topology.TASKS)
    assert not may(worker.write, topology.TASKS)
    assert not may(worker.write, topology.CONTROL)
    control = manager.topic(topology.CONTROL)
    assert may(control.write, "cancel.w")
    assert not may(control.write, "cancel.m")
    assert not may(control.write, "shutdown.w")


def test_only_an_agent_with_foreign_clients_may_publish_to_the_default_exchange() -> None:
    assert may(of("a", foreign_clients=True).write, "amq.default")
    assert not may(of("a").write, "amq.default")


def test_an_agent_binds_its_own_control_keys_and_publishes_events_in_its_own_name() -> None:
    user = of("a-b")
    control, events = user.topic(topology.CONTROL), user.topic(topology.EVENTS)
    assert all(may(control.read, key) for key in topology.control_keys("a-b"))
    assert not any(may(control.read, key) for key in ("cancel.a", "shutdown.a", "cancel.#", "#"))
    assert may(events.write, "a-b.run.started")
    assert not may(events.write, "a.run.started")


def test_every_agent_publishes_texts_and_only_operator_and_gateway_receive_them() -> None:
    key = "0123abcd.of-any*client"
    reading = {
        name
        for name, user in EVERYBODY.items()
        if may(user.read, topology.STREAM) and may(user.topic(topology.STREAM).read, key)
    }
    writing = {
        name
        for name, user in EVERYBODY.items()
        if may(user.write, topology.STREAM) and may(user.topic(topology.STREAM).write, key)
    }
    assert reading == {access.OPERATOR, topology.GATEWAY}
    assert writing == {agent_user(name) for name in KNOWN}
    operator = EVERYBODY[access.OPERATOR]
    (queue,) = topology.client_stream(ID + ID[:4], key).queues
    assert all(may(it, queue.name) for it in (operator.configure, operator.write, operator.read))


def test_only_the_operator_and_the_gateway_may_shut_down() -> None:
    able = {
        name
        for name, user in EVERYBODY.items()
        if may(user.write, topology.CONTROL)
        and may(user.topic(topology.CONTROL).write, "shutdown.bob")
    }
    assert able == {access.OPERATOR, topology.GATEWAY}


@pytest.mark.parametrize("name", [users.SCALER, users.ADMIN])
def test_a_user_that_only_reads_lengths_has_no_permission(name: str) -> None:
    user = EVERYBODY[name]
    assert not user.configure + user.write + user.read


def test_every_topic_exchange_has_topic_permissions() -> None:
    assert {it.name for it in topology.system().exchanges if it.type == "topic"} == set(TOPICS)


def test_every_queue_has_a_limit_in_bytes() -> None:
    parts = topology.system() + topology.mailbox("a") + topology.swarm("g", "a")
    parts += topology.replies("a", ID) + topology.control("a", ID) + topology.client(ID)
    parts += topology.client_stream(ID, ID)
    for queue in parts.queues:
        by_policy = [it for it in topology.POLICIES if re.search(it.pattern, queue.name)]
        assert "x-max-length-bytes" in queue.arguments or by_policy, queue.name


@pytest.mark.parametrize(
    "queue",
    [
        "amq.gen-x",
        f"amq_{ID * 4}",
        "spring.gen-x",
        "easynetq.response.x",
        "0123abcd-0123-0123-0123-0123abcd0123",
    ],
)
def test_a_client_may_declare_and_read_queues_named_by_libraries_and_no_agent_may(
    queue: str,
) -> None:
    client, agent = EVERYBODY["client"], EVERYBODY["agent.alice"]
    assert all(may(rights, queue) for rights in (client.configure, client.write, client.read))
    assert not any(may(rights, queue) for rights in (agent.configure, agent.write, agent.read))
