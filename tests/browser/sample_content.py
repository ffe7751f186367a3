"""Made-up agents, runs, dead letters and schedules, as the gateway's API shows them.

It is longer than other modules: it is data, and its parts refer to each other.
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]

NOW = datetime.now(UTC).replace(microsecond=0)
AGENTS: list[tuple[str, str, list[str], str | None]] = [
    ("alice", "A manager at FooBar Inc.", ["bob", "carol"], None),
    ("bob", "Writes e-mails for the admin department.", [], None),
    ("carol", "Answers questions about orders.", [], None),
    ("editor", "Turns research into a short article.", ["researcher", "writer", "checker"], None),
    ("researcher", "Finds facts on a subject, with sources.", [], None),
    ("writer", "Writes a paragraph from facts.", [], None),
    ("checker", "Says where a text and the facts disagree.", [], None),
    ("tom", "Observes; reports what happened, with figures.", [], "research"),
    ("richard", "Explains what observations mean.", [], "research"),
    ("harry", "Looks for what is wrong with an explanation.", [], "research"),
]
TASKS = [
    "Ask Bob for an email about the summer party.",
    "Where is order 4711? The customer has waited since Monday.",
    "Summarise today's tickets for the morning meeting, worst first.",
    "Write two paragraphs about how quorum queues replicate, for people who know Kafka.",
    "Plan the day.",
    "What did we promise ACME about delivery times?",
]
HOSTILE = (
    "<script>document.title='broken into'</script>"
    "<img src=x onerror=\"document.title='broken into'\">\n"
    "\x1b[31mred\x1b[0m \x1b]8;;https://example.org\x07link\x1b]8;;\x07 \x08\x07\n"
    "gnp.\u202egpj.exe \u2066isolated\u2069 zero\u200bwidth \U000e0048\U000e0069\n"
    "شكرا جزيلا, end of a line from right to left"
)


DIED = {"instance": "alice.51d2c7ab", "reason": "alice.51d2c7ab has died"}
TAKEN = "taken over by alice.7f3a90c2"


def iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ago(**parts: float) -> datetime:
    return NOW - timedelta(**parts)


def bar(
    kind: str, begin: datetime, start: float, end: float | None, name: str = "", **fields: Any
) -> Json:
    """A bar between two moments, in seconds after the beginning."""
    step = fields.pop("step", None)
    return {
        "kind": kind,
        "name": name,
        "from": iso(begin + timedelta(seconds=start)),
        "to": None if end is None else iso(begin + timedelta(seconds=end)),
        "step": step and {"epoch": 1, "turn": step[0], "position": step[1]},
        "instance": fields.pop("instance", None),
        "reason": fields.pop("reason", None),
        "child_run_id": fields.pop("child", None),
    }


def row(
    run_id: str,
    agent: str,
    status: str,
    begin: datetime,
    seconds: float | None,
    text: str,
    **more: Any,
) -> Json:
    return {
        "run_id": run_id,
        "agent": agent,
        "task_id": f"task-{run_id}",
        "kind": "task",
        "status": status,
        "root_id": f"task-{run_id}",
        "parent_id": None,
        "attempts": 0,
        "claimed_at": iso(begin),
        "ended_at": None if seconds is None else iso(begin + timedelta(seconds=seconds)),
        "due_at": None,
        "session": None,
        "text": text,
        "priority": "interactive",
        "parent_run_id": None,
        "parent_step": None,
        "owner": None if seconds is not None else f"{agent}.7f3a90c2",
        "bars": [],
    } | more


def _party() -> list[Json]:
    begin = ago(minutes=12)
    task = "Ask Bob for an email about the summer party, and Carol whether drinks are ordered."
    alice = row("a1c0ffee01", "alice", "ok", begin, 64.0, task, session="party-2026")
    alice["bars"] = [
        bar("queued", begin, -1.4, 0),
        bar("slot", begin, 0, 0.9),
        bar("model", begin, 0.9, 3.2, "gpt-5", step=(1, 0), instance="alice.51d2c7ab"),
        bar("worker", begin, 3.2, 49.6, "bob", step=(1, 1), child="b0b0ffee01"),
        bar("worker", begin, 3.3, 9.8, "carol", step=(1, 2), child="ca401ffee1"),
        bar("model", begin, 49.7, 51.3, "gpt-5", step=(2, 0), **DIED),
        bar("dead", begin, 51.3, 54.3, reason=TAKEN, instance="alice.51d2c7ab"),
        bar("resumed", begin, 54.3, 54.3, reason=TAKEN, instance="alice.7f3a90c2"),
        bar("model", begin, 54.3, 57.9, "gpt-5", step=(2, 0), instance="alice.7f3a90c2"),
        bar("tool", begin, 57.9, 58.6, "send_mail", step=(2, 1), instance="alice.7f3a90c2"),
        bar("model", begin, 58.6, 64.0, "gpt-5", step=(3, 0), instance="alice.7f3a90c2"),
    ]
    alice["attempts"] = 1
    bob = row(
        "b0b0ffee01",
        "bob",
        "ok",
        begin + timedelta(seconds=3.6),
        45.8,
        "Please write an email about the summer party.",
        parent_run_id="a1c0ffee01",
        parent_id=alice["task_id"],
        parent_step={"turn": 1, "position": 1},
    )
    bob["bars"] = [
        bar("queued", begin, 3.2, 3.6),
        bar("model", begin, 3.7, 4.4, "gpt-5-mini", step=(1, 0), instance="bob.0c41d6e8"),
        bar("postponed", begin, 4.4, 38.4, reason="rate limited; tried again after 34 s"),
        bar("resumed", begin, 38.4, 38.5, reason="resumed by bob.0c41d6e8"),
        bar("model", begin, 38.5, 43.1, "gpt-5-mini", step=(2, 0), instance="bob.0c41d6e8"),
        bar("tool", begin, 43.1, 44.6, "thesaurus", step=(2, 1), instance="bob.0c41d6e8"),
        bar("model", begin, 44.7, 49.4, "gpt-5-mini", step=(3, 0), instance="bob.0c41d6e8"),
    ]
    carol = row(
        "ca401ffee1",
        "carol",
        "ok",
        begin + timedelta(seconds=3.5),
        6.2,
        "Are the drinks for the summer party ordered?",
        parent_run_id="a1c0ffee01",
        parent_id=alice["task_id"],
        parent_step={"turn": 1, "position": 2},
    )
    carol["bars"] = [
        bar("queued", begin, 3.3, 3.5),
        bar("model", begin, 3.6, 5.8, "gpt-5-mini", step=(1, 0), instance="carol.99ab12de"),
        bar("tool", begin, 5.8, 6.4, "lookup", step=(1, 1), instance="carol.99ab12de"),
        bar("model", begin, 6.4, 9.7, "gpt-5-mini", step=(2, 0), instance="carol.99ab12de"),
    ]
    return [alice, bob, carol]


def _parked() -> list[Json]:
    """A tree that waits for two decisions, one of them below a worker."""
    begin = ago(hours=5)
    task = "Refund order 4711, and order a new kettle for the customer."
    alice = row("a99407a1ed", "alice", "parked", begin, None, task, owner=None)
    alice["bars"] = [
        bar("model", begin, 0.4, 3.2, "gpt-5", step=(1, 0), instance="alice.7f3a90c2"),
        bar("worker", begin, 3.2, None, "carol", step=(1, 1), child="ca401a1ed0"),
        bar("approval", begin, 3.2, None, "order", step=(1, 2)),
    ]
    carol = row(
        "ca401a1ed0",
        "carol",
        "parked",
        begin + timedelta(seconds=3.5),
        None,
        "Refund order 4711.",
        owner=None,
        parent_run_id="a99407a1ed",
        parent_id=alice["task_id"],
        parent_step={"turn": 1, "position": 1},
    )
    carol["bars"] = [
        bar("model", begin, 3.6, 5.8, "gpt-5-mini", step=(1, 0), instance="carol.99ab12de"),
        bar("tool", begin, 5.8, 6.4, "lookup", step=(1, 1), instance="carol.99ab12de"),
        bar("approval", begin, 6.4, None, "refund", step=(1, 2)),
    ]
    return [alice, carol]


def approvals() -> list[Json]:
    """Newest first."""
    begin = ago(hours=5)

    def request(id: str, agent: str, name: str, arguments: Json, at: float, **more: Any) -> Json:
        return {
            "id": id,
            "state": "pending",
            "kind": "tool",
            "name": name,
            "arguments": arguments,
            "agent": agent,
            "run_id": "a99407a1ed",
            "root_run_id": "a99407a1ed",
            "path": ["alice"],
            "turn": 1,
            "position": 2,
            "asked_at": iso(begin + timedelta(seconds=at)),
            "expires_at": iso(begin + timedelta(days=7, seconds=at)),
            "decided_at": None,
            "decided_by": None,
            "note": "",
        } | more

    refund = {"order": 4711, "amount": "249.00", "reason": HOSTILE}
    below = {"run_id": "ca401a1ed0", "path": ["alice", "carol"]}
    decided = {"decided_at": iso(ago(minutes=11)), "decided_by": "ops"}
    return [
        request("k7m2-rq4d", "carol", "refund", refund, 6.4, **below),
        request("p3vx-9hst", "alice", "order", {"article": "kettle", "count": 1}, 3.2),
        request(
            "w8zc-2nfb",
            "alice",
            "send_mail",
            {"to": "all@foobar.example", "subject": "Summer party on 12 June"},
            -17_000.0,
            run_id="a1c0ffee01",
            root_run_id="a1c0ffee01",
            state="approved",
            note="Not before Monday, please.",
            position=1,
            **decided,
        ),
    ]


def _failed() -> list[Json]:
    begin = ago(minutes=41)
    run = row(
        "fa11ed0001", "carol", "failed", begin, 21.0, "Refund order 4711 and tell the customer."
    )
    run["bars"] = [
        bar("model", begin, 0.2, 2.9, "gpt-5-mini", step=(1, 0), instance="carol.12f00d99"),
        bar("tool", begin, 2.9, 17.0, "refund", instance="carol.12f00d99"),
        bar("dead", begin, 17.0, 21.0, reason="taken over by carol.99ab12de"),
    ]
    return [run]


def _hostile() -> list[Json]:
    begin = ago(minutes=55)
    run = row("badc0de001", "researcher", "ok", begin, 9.0, HOSTILE.replace("\n", " "))
    run["bars"] = [
        bar("model", begin, 0.2, 4.0, "gpt-5", step=(1, 0)),
        bar("tool", begin, 4.0, 5.0, "<b>fetch</b>", step=(1, 1)),
        bar("model", begin, 5.0, 9.0, "gpt-5", step=(2, 0)),
    ]
    return [run]


def _long(steps: int) -> list[Json]:
    """One run of so many steps, half of them tools."""
    begin = ago(hours=3)
    dice = random.Random(1)
    run = row(
        "1009576b00",
        "researcher",
        "ok",
        begin,
        0,
        "Read every ticket of the year, one after the other.",
    )
    at = 0.0
    for number in range(steps):
        seconds = dice.uniform(0.2, 2.0)
        tool = number % 2
        run["bars"].append(
            bar(
                "tool" if tool else "model",
                begin,
                at,
                at + seconds,
                "read_ticket" if tool else "gpt-5-mini",
                step=(number // 2 + 1, tool),
            )
        )
        at += seconds
    run["ended_at"] = iso(begin + timedelta(seconds=at))
    return [run]


def _listed(count: int) -> list[Json]:
    dice = random.Random(2)
    found = []
    for number in range(count):
        agent = dice.choice(AGENTS)[0]
        status = dice.choices(
            ["ok", "partial", "failed", "timeout", "cancelled", "refused"], [80, 4, 6, 2, 4, 2]
        )[0]
        begin = ago(minutes=60 + number * 3.7)
        text = f"{dice.choice(TASKS)} (ticket {dice.randrange(100_000):05d})"
        kind = "trigger" if text.startswith("Plan") else "task"
        found.append(
            row(
                f"{number:06x}{dice.randrange(16**6):06x}",
                agent,
                status,
                begin,
                dice.uniform(0.4, 90),
                text,
                kind=kind,
            )
        )
    return found


def runs(listed: int = 400, steps: int = 10_000) -> list[Json]:
    """Newest first."""
    return [*_party(), *_parked(), *_failed(), *_hostile(), *_listed(listed), *_long(steps)]


def agents() -> list[Json]:
    found = []
    for name, description, workers, swarm in AGENTS:
        found.append(
            {
                "name": name,
                "description": description,
                "model": "gpt-5" if workers else "gpt-5-mini",
                "workers": workers,
                "swarm": swarm,
                "processes": 2 if name in {"alice", "bob"} else 1,
                "paused": False,
                "queued": 0,
                "delayed": 0,
                "due": 0,
                "postponed": 0,
                "running": 0,
                "waiting": 0,
                "unsent": 0,
                "fault": None,
                "schedules": 1 if name in {"alice", "tom"} else 0,
            }
        )
    by_name = {it["name"]: it for it in found}
    by_name["alice"] |= {"running": 2, "waiting": 1}
    by_name["bob"] |= {"running": 1, "queued": 14}
    by_name["writer"] |= {"paused": True, "queued": 3}
    by_name["checker"] |= {"processes": 0, "queued": 2}
    by_name["researcher"] |= {"postponed": 2}
    return found


def attention() -> list[Json]:
    return [
        {
            "kind": "no_process",
            "agent": "checker",
            "count": 2,
            "sentence": "No process of checker runs: 2 tasks wait.",
            "view": "/agents/checker",
        },
        {
            "kind": "dead_letters",
            "agent": None,
            "count": 37,
            "sentence": "37 dead letters wait for a decision.",
            "view": "/dead-letters",
        },
        {
            "kind": "approval",
            "agent": "carol",
            "count": 1,
            "sentence": "1 call of carol waits for approval.",
            "view": "/approvals?agent=carol",
        },
        {
            "kind": "postponed",
            "agent": "researcher",
            "count": 2,
            "sentence": "2 runs of researcher wait for their model.",
            "view": "/runs?agent=researcher&status=due",
        },
        {
            "kind": "paused",
            "agent": "writer",
            "count": 3,
            "sentence": "writer is paused: 3 tasks wait.",
            "view": "/agents/writer",
        },
    ]


def minutes() -> list[Json]:
    dice = random.Random(3)
    found = []
    for number in range(60):
        tasks = max(0, int(dice.gauss(9 + (6 if 25 < number < 40 else 0), 3)))
        calls = tasks * 3 + dice.randrange(4)
        tokens = calls * dice.randrange(600, 1500)
        found.append(
            {
                "at": iso(NOW.replace(second=0) - timedelta(minutes=59 - number)),
                "tasks": tasks,
                "failed": int(dice.random() < 0.15),
                "model_calls": calls,
                "tokens": tokens,
                "cost": round(tokens * 2.4e-6, 5),
            }
        )
    return found


def schedules() -> list[Json]:
    def times(first: datetime, step: timedelta) -> list[str | None]:
        return [iso(first + step * number) for number in range(5)]

    return [
        {
            "agent": "alice",
            "name": "plan",
            "expression": "0 9 * * 1-5",
            "timezone": "Europe/London",
            "next_at": times(NOW + timedelta(hours=16), timedelta(days=1)),
            "last": {
                "nominal_at": iso(ago(hours=8)),
                "outcome": "sent",
                "run_id": "a1c0ffee01",
                "status": "ok",
            },
        },
        {
            "agent": "tom",
            "name": "observe",
            "expression": "every 15m",
            "timezone": "UTC",
            "next_at": times(NOW + timedelta(minutes=7), timedelta(minutes=15)),
            "last": {
                "nominal_at": iso(ago(minutes=8)),
                "outcome": "skipped: the last one still runs",
                "run_id": None,
                "status": None,
            },
        },
        {
            "agent": "editor",
            "name": "digest",
            "expression": "0 18 * * 5",
            "timezone": "Europe/Berlin",
            "next_at": times(NOW + timedelta(days=3), timedelta(days=7)),
            "last": None,
        },
    ]


def dead_letters() -> list[Json]:
    kinds = [
        (
            "the tool 'refund' was interrupted and may have acted",
            "carol",
            "run",
            "Refund order 4711 and tell the customer.",
            "fa11ed0001",
        ),
        (
            "the body is not JSON: EOF at line 1 column 34",
            "alice",
            "message",
            '{"contnt": "Ask Bob for an email"',
            None,
        ),
        (
            "the model was unavailable eight times in a row: 429 rate limited",
            "researcher",
            "run",
            "Find three sources on quorum queues.",
            "badc0de001",
        ),
        ("no agent 'alcie'; known: alice, bob, carol", None, "message", "Where is order 17?", None),
        ("two processes have died on it", "bob", "run", HOSTILE.replace("\n", " "), "b0b0ffee01"),
    ]
    return [
        {
            "id": f"dead{number:04d}",
            "agent": agent,
            "reason": reason,
            "kind": kind,
            "at": iso(ago(minutes=4 + number * 17)),
            "task_id": f"task-{number}",
            "run_id": run,
            "text": text,
        }
        for number in range(37)
        for reason, agent, kind, text, run in [kinds[number % len(kinds)]]
    ]


DEFINITION = """\
name: alice
description: A manager at FooBar Inc.
preamble: You are a manager in the admin department at FooBar Inc. You manage Bob.
model: gpt-5
workers: [bob, carol]
schedule:
  - {name: plan, cron: "0 9 * * 1-5", timezone: Europe/London, prompt: Plan the day.}
limits: {turns: 10, depth: 4, timeout: 10m, concurrency: 8}
"""
EMAIL = """\
Subject: Summer party on 12 June

Dear all,

this year's summer party is on Friday, 12 June, from 16:00 in the courtyard. Drinks are \
ordered, the grill is reserved, and Harry has promised not to sing.

Please tell me by Wednesday whether you come, and what you don't eat.

Best wishes,
Bob"""
