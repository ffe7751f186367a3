"""Requests that no client should send, and clients that leave or read slowly."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from tests.support.gateway import client, followed, gateway
from tests.support.processes.agents import define, http_get
from tests.support.processes.running import Child, System, until

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True)

AT_ONCE = 50
SLOW = {"agent": "bob", "content": "[[latency 2]][[reply At last.]]"}
LONG = "All of this is one long text. " * 10_000
PIECE = 4096
"""The bytes that a slow reader's machine holds for it."""
DEEP = "[" * 100_000 + "]" * 100_000
JSON = "Content-Type: application/json"


@pytest.fixture
def bob(system: System, agents: Path) -> System:
    define(agents, system, bob="swarm: office")
    system.agents("bob")
    return system


@pytest.fixture
def door(bob: System) -> tuple[Child, str]:
    return gateway(bob)


@pytest_asyncio.fixture
async def http(door: tuple[Child, str]) -> AsyncIterator[httpx2.AsyncClient]:
    async with client(door[1]) as connected:
        yield connected


def connected(address: str) -> socket.socket:
    port = int(address.rpartition(":")[2])
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def request(line: str, *headers: str, body: str | bytes = b"") -> bytes:
    content = body.encode() if isinstance(body, str) else body
    head = [f"{line} HTTP/1.1", "Host: localhost", "Connection: close", *headers]
    if content or line.startswith("POST"):
        head.append(f"Content-Length: {len(content)}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + content


def answer(address: str, sent: bytes) -> tuple[int, str]:
    """The status, and all that came."""
    with connected(address) as connection:
        connection.sendall(sent)
        received = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(received.split(None, 2)[1]), received.decode("utf-8", "replace")


def task(**fields: object) -> str:
    return json.dumps({"agent": "bob", "content": "Hello.", **fields})


def posted(body: str | bytes, *headers: str, path: str = "/api/tasks") -> bytes:
    return request(f"POST {path}", JSON, *headers, body=body)


ODD = {
    "a byte that is no UTF-8": (posted(b'{"agent":"bob","content":"\xe9"}'), 400),
    "no JSON by its type": (
        request("POST /api/tasks", "Content-Type: text/plain", body=task()),
        422,
    ),
    "a form": (request("POST /api/tasks", body="agent=bob&content=x"), 422),
    "100,000 lists in one another": (
        posted(f'{{"agent":"bob","content":"x","context":{DEEP}}}'),
        400,
    ),
    "the same to the OpenAI door": (
        posted(f'{{"model":"bob","messages":[],"x":{DEEP}}}', path="/v1/chat/completions"),
        400,
    ),
    "a number of 5,000 digits": (posted(task(wait=1)[:-2] + "9" * 5000 + "}"), 400),
    "NaN": (posted(task(wait=float("nan"))), 422),
    "an infinite budget": (posted(task(budget={"cost": float("inf")})), 422),
    "a number for a time": (posted(task(not_before=0)), 422),
    "half of a surrogate pair as content": (posted(task(content="\ud800")), 422),
    "half of a surrogate pair as context": (posted(task(context="\ud800")), 422),
    "half of a surrogate pair as address": (posted(task(callback_url="https://\ud800")), 422),
    "half of a surrogate pair to wake": (posted(task(content="\ud800"), path="/api/triggers"), 422),
    "a line break in an id": (posted(task(id="a\r\nX-Evil: 1")), 422),
    "an id of 129 characters": (request("GET /api/tasks/" + "~" * 129), 422),
    "an id of 128 characters": (request("GET /api/tasks/" + "~" * 128), 404),
    "NUL as id": (request("GET /api/tasks/%00"), 422),
    "no UTF-8 as id": (request("GET /api/tasks/%ff"), 422),
    "half of a surrogate pair as id": (request("GET /api/tasks/%ED%A0%80"), 422),
    "a path upwards": (request("GET /api/tasks/../me"), 404),
    "a slash at the end": (request("GET /api/me/"), 404),
    "a place of 60 kB": (
        request(
            "GET /api/tasks/x/events?agent=bob",
            "Last-Event-ID: " + "~".join(["000000000000.000000.1.1"] * 2500),
        ),
        404,
    ),
    "two lengths": (request("POST /api/tasks", JSON, "Content-Length: 5"), 400),
    "a negative length": (
        b"POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        400,
    ),
    "no host": (b"GET /api/me HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
    "an unknown method": (request("BREW /api/tasks"), 405),
}


def test_each_odd_request_is_refused_by_a_status_that_says_why(door: tuple[Child, str]) -> None:
    child, address = door
    found = {name: answer(address, sent)[0] for name, (sent, _) in ODD.items()}
    assert found == {name: status for name, (_, status) in ODD.items()}
    assert child.count('"level": "error"') == 0
    assert answer(address, posted("\ufeff" + task(wait=30)))[0] == 200, "a byte order mark"


def test_texts_that_javascript_has_cut_in_the_middle_of_a_character_reach_the_agent(
    door: tuple[Child, str],
) -> None:
    whole = {
        "model": "bob",
        "input": "cut \ud83d",
        "instructions": "\ud83d",
        "metadata": {"a": "\ud83d"},
    }
    status, received = answer(door[1], posted(json.dumps(whole), path="/v1/responses"))
    assert status == 200, received
    assert json.loads(received.partition("\r\n\r\n")[2])["metadata"] == {"a": "?"}


def test_other_sites_get_no_permission_and_each_path_says_what_it_allows(
    door: tuple[Child, str],
) -> None:
    origin = "Origin: https://evil.example"
    asks = request("OPTIONS /api/tasks", origin, "Access-Control-Request-Method: POST")
    status, received = answer(door[1], asks)
    assert status == 405
    assert "access-control" not in received.lower()
    _, received = answer(door[1], request("PUT /api/tasks/x"))
    assert "allow: GET, DELETE\r\n" in received
    assert answer(door[1], request("HEAD /"))[0] == 200


async def test_a_slash_in_an_id_is_a_part_of_it_if_it_is_encoded(http: httpx2.AsyncClient) -> None:
    new = {"agent": "bob", "content": "Hello.", "id": "a/events", "wait": 30}
    sent = await http.post("/api/tasks", json=new)
    links = sent.json()["links"]
    assert (await http.get(links["self"])).json() == sent.json()
    events = await followed(http, links["events"])
    assert events[-1].data == sent.json()
    assert (await http.get("/api/runs/a%2Fevents")).json()["run_id"] == sent.json()["run_id"]
    assert (await http.delete("/api/tasks/a/events")).status_code == 405


async def test_fifty_requests_with_one_key_at_once_through_two_gateways_are_one_task(
    http: httpx2.AsyncClient, bob: System
) -> None:
    headers = {"Idempotency-Key": "once"}
    async with client(gateway(bob)[1]) as other:
        found = await asyncio.gather(
            *(
                (http, other)[number % 2].post(
                    "/api/tasks",
                    json={"agent": "bob", "content": "Hello.", "wait": 30},
                    headers=headers,
                )
                for number in range(AT_ONCE)
            )
        )
    assert {it.status_code for it in found} == {200}
    assert len({it.text for it in found}) == 1
    runs = await http.get("/api/runs")
    assert len(runs.json()["runs"]) == 1


async def test_a_client_can_leave_at_any_moment(
    door: tuple[Child, str], http: httpx2.AsyncClient
) -> None:
    child, address = door
    whole = posted(json.dumps({**SLOW, "wait": 60}), "Accept: text/event-stream")
    head = len(whole.partition(b"\r\n\r\n")[0])
    waits = posted(json.dumps({**SLOW, "wait": 60}))
    phases = [whole[:length] for length in (0, 3, 40, head, head + 20)] + [whole, waits]
    for sent in phases * 3:
        with connected(address) as connection:
            connection.sendall(sent)
            await asyncio.sleep(0.05)
    health = child.wait_for(r'health is served".*"port": (\d+)')

    def streams() -> float:
        found = re.search(
            r"^hutch_gateway_streams (\S+)$", http_get(int(health[1]), "metrics")[1], re.M
        )
        return float(found[1]) if found else -1

    until(lambda: streams() == 0)
    assert child.count('"level": "error"') == 0
    done = await http.post("/api/tasks", json={"agent": "bob", "content": "Hello.", "wait": 30})
    assert done.json()["status"] == "ok"


async def test_a_client_that_reads_slowly_delays_no_other_and_gets_all(
    door: tuple[Child, str], http: httpx2.AsyncClient
) -> None:
    new = {"agent": "bob", "content": f"[[reply {LONG}]]", "stream": True}
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
        slow.connect(("127.0.0.1", int(door[1].rpartition(":")[2])))
        slow.sendall(posted(json.dumps(new), "Accept: text/event-stream"))
        slow.settimeout(30)
        first = slow.recv(PIECE)
        for _ in range(3):
            done = await http.post(
                "/api/tasks", json={"agent": "bob", "content": "Hello.", "wait": 30}
            )
            assert done.json()["status"] == "ok"
        received = first + b"".join(iter(lambda: slow.recv(65536), b""))
    last = received.rpartition(b"event: response")[2].partition(b"data: ")[2]
    task = json.loads(last.partition(b"\n")[0])
    assert len(task["content"]) > 10 * PIECE
    assert (await http.get(task["links"]["self"])).json() == task
