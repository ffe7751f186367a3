"""The shipped compose file as a stranger runs it: built, started, spoken to from outside."""

from __future__ import annotations

import time

import pytest

from tests.support.stack import Stack

pytestmark = pytest.mark.essential

GRACE_S = 30
BOBS = 3
"""The replicas in README.md's example."""


def test_the_smallest_message_gets_its_response(stack: Stack) -> None:
    response = stack.ask("bob", ["Write one line about rabbits."])["0"]
    assert (response["type"], response["status"]) == ("response", "ok")
    assert response["content"]
    assert response["model"] == "scripted"


def test_a_task_by_the_management_api_gets_its_response(stack: Stack) -> None:
    with stack.channel() as channel:
        replies = channel.queue_declare("", exclusive=True).method.queue
        asked = {"reply_to": replies, "correlation_id": "by-http"}
        assert stack.publish_by_http("bob", '{"content": "Write one line."}', **asked)
        for _, properties, body in channel.consume(replies, auto_ack=True, inactivity_timeout=60):
            assert properties is not None, "no response came"
            assert properties.correlation_id == "by-http"
            assert b'"status":"ok"' in (body or b"")
            break


def test_a_task_given_to_the_gateway_gets_its_response(stack: Stack) -> None:
    task = stack.ask_by_gateway("bob", "Write one line about rabbits.")
    assert task["status"] == "ok", task
    assert task["content"]


def test_a_manager_answers_with_its_workers_text(stack: Stack) -> None:
    question = "Ask Bob to write an email for you and let me know what he has written."
    response = stack.ask("alice", [question])["0"]
    assert response["status"] == "ok"
    usage = response["usage"]
    assert isinstance(usage, dict)
    assert usage["model_calls"] >= 3, "two calls of Alice's and one of Bob's"


def test_a_task_to_an_unknown_agent_is_refused_with_the_known_ones(stack: Stack) -> None:
    response = stack.ask("alcie", ["Hello?"])["0"]
    assert response["status"] == "refused"
    assert "alcie" in str(response["content"])


def test_three_bobs_share_the_work(stack: Stack) -> None:
    before = stack.ended_by("bob", BOBS)
    tasks = [f"[[latency 0.5]] Write line {number}." for number in range(30)]
    answered = stack.ask("bob", tasks)
    assert {response["status"] for response in answered.values()} == {"ok"}
    shares = stack.ended_by("bob", BOBS) - before
    assert sum(shares.values()) == 30
    assert min(shares[index] for index in range(1, BOBS + 1)) >= 6, shares


def test_without_a_key_the_log_says_that_the_model_is_scripted(stack: Stack) -> None:
    assert "http://scripted:8080/v1" in stack.compose("logs", "--no-log-prefix", "alice")


def test_only_broker_and_gateway_are_published_and_only_on_loopback(stack: Stack) -> None:
    published = {
        (str(container["Service"]), publisher["URL"], publisher["TargetPort"])
        for container in stack.containers()
        for publisher in container["Publishers"] or []  # type: ignore[attr-defined]  # JSON
        if publisher["PublishedPort"]
    }
    assert published == {
        ("rabbitmq", "127.0.0.1", 5672),
        ("rabbitmq", "127.0.0.1", 15672),
        ("gateway", "127.0.0.1", 8765),
    }


def test_an_idle_agent_drains_well_within_its_grace(stack: Stack) -> None:
    started = time.monotonic()
    stack.compose("stop", "tom", "scheduler", "gateway", "scripted", timeout_s=GRACE_S)
    took_s = time.monotonic() - started
    codes = {
        str(container["Service"]): container["ExitCode"]
        for container in stack.containers()
        if container["State"] == "exited"
    }
    stack.compose("up", "--detach", "--wait", "--no-recreate", "--scale", f"bob={BOBS}")
    assert took_s < GRACE_S / 2
    assert codes == {"migrate": 0, "tom": 0, "scheduler": 0, "gateway": 0, "scripted": 0}
