"""A gateway with made-up content behind the real page: what agents can't show in a test's time.

`python -m tests.browser.sample_gateway PORT` serves it, to look at. It is longer than other
modules: it has a route for each one of the API that the page uses, and they share one state.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sse_starlette import EventSourceResponse

from services.gateway import problems
from services.gateway.page import files
from services.gateway.problems import Problem
from tests.browser import sample_content as content
from tests.browser.sample_content import Json, bar, iso, row

DETAILS = {"bars", "parent_run_id", "parent_step", "owner"}
USAGE = {"model_calls": 4, "input_tokens": 5210, "output_tokens": 871}
STREAMED = (
    "The party is on **12 June**. Bob has written the email; Carol says the drinks are ordered. "
)


class Sample:
    """All that the page can see, and whether the gateway answers."""

    def __init__(self, listed: int = 400, steps: int = 10_000) -> None:
        self.runs = content.runs(listed, steps)
        self.by_id = {it["run_id"]: it for it in self.runs}
        self.letters = content.dead_letters()
        self.approvals = content.approvals()
        self.agents = content.agents()
        self.available = True
        self.open = True
        """Whether no key is needed."""
        self.texts: dict[str, str] = {}
        """Tasks and answers other than the usual ones, by run."""
        self.requests: list[tuple[str, str, Any]] = []
        """What was posted: method, path, body."""

    def run(self, id: str) -> Json:
        found = self.by_id.get(id) or next((it for it in self.runs if it["task_id"] == id), None)
        if found is None:
            raise Problem(HTTPStatus.NOT_FOUND, f"there is no run '{id}'")
        return found

    def tree(self, run: Json) -> list[Json]:
        root = run
        while root["parent_run_id"]:
            root = self.by_id[root["parent_run_id"]]
        found = [root]
        for it in found:
            found.extend(one for one in self.runs if one["parent_run_id"] == it["run_id"])
        return found


def application(sample: Sample) -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.middleware("http")
    async def gate(request: Request, call_next: Any) -> Any:
        path = request.url.path
        if path.startswith("/api") or path in {"/login", "/logout"}:
            if not sample.available:
                return JSONResponse({"detail": "the store is unavailable"}, 503)
            if (
                not sample.open
                and path.startswith("/api")
                and request.cookies.get("hutch") != "hk_test"
            ):
                return JSONResponse({"detail": "an API key is needed"}, 401)
            if request.method != "GET":
                body = await request.body()
                sample.requests.append((request.method, path, json.loads(body) if body else None))
        return await call_next(request)

    @app.post("/login")
    async def login(request: Request) -> JSONResponse:
        key = (await request.json())["key"]
        if key != "hk_test":
            raise Problem(HTTPStatus.UNAUTHORIZED, "this key is not known, or was revoked")
        response = JSONResponse(None)
        response.set_cookie("hutch", key, httponly=True, samesite="strict")
        return response

    @app.post("/logout")
    def logout() -> JSONResponse:
        response = JSONResponse(None)
        response.delete_cookie("hutch")
        return response

    @app.get("/api/me")
    def me() -> Json:
        return {
            "name": "operator",
            "scopes": ["read", "run", "operate"],
            "agents": None,
            "open": sample.open,
            "version": "0.1.0",
        }

    @app.get("/api/overview")
    def overview() -> Json:
        return {
            "at": iso(datetime.now(UTC)),
            "agents": sample.agents,
            "groups": [{"name": "research", "members": ["tom", "richard", "harry"]}],
            "scheduler": {"processes": 1, "schedules": 3},
            "attention": content.attention(),
            "minutes": content.minutes(),
        }

    @app.get("/api/agents/{name}")
    def agent(name: str) -> Json:
        found = next((it for it in sample.agents if it["name"] == name), None)
        if found is None:
            raise Problem(HTTPStatus.NOT_FOUND, f"there is no agent '{name}'")
        return found | {
            "definition": content.DEFINITION.replace("alice", name),
            "advice": ["two workers have nearly the same description"] if name == "alice" else [],
            "tools": [
                {"name": "send_mail", "description": "Sends an email to the whole department."},
                {"name": "lookup", "description": "Says where an order is."},
            ],
            "schedules": [it for it in content.schedules() if it["agent"] == name],
        }

    @app.post("/api/agents/{name}/pause")
    @app.post("/api/agents/{name}/unpause")
    def pause(name: str, request: Request) -> Json:
        for it in sample.agents:
            if name in {it["name"], "all"}:
                it["paused"] = request.url.path.endswith("/pause")
        return {}

    @app.get("/api/schedules")
    def schedules() -> Json:
        return {"schedules": content.schedules()}

    @app.post("/api/schedules/{agent}/{name}/run", status_code=202)
    def run_now(agent: str, name: str) -> Json:
        return {"id": f"{name}@now", "agent": agent, "run_id": "a1c0ffee01"}

    @app.get("/api/dead-letters")
    def dead_letters(reason: str = "", agent: str = "", q: str = "", limit: int = 50) -> Json:
        found = [
            it
            for it in sample.letters
            if reason in it["reason"]
            and (not agent or it["agent"] == agent)
            and q.lower() in f"{it['text']} {it['id']} {it['run_id']}".lower()
        ]
        newest = max((it["at"] for it in found), default=None)
        return {
            "dead_letters": found[:limit],
            "next": None,
            "total": len(found),
            "newest": newest,
        }

    @app.get("/api/dead-letters/{id}")
    def dead_letter(id: str) -> Json:
        found = next((it for it in sample.letters if it["id"] == id), None)
        if found is None:
            raise Problem(HTTPStatus.NOT_FOUND, f"there is no dead letter '{id}'")
        remedies = [
            {"action": "replay", "sentence": "Continues the run after its last finished step."},
            {"action": "drop", "sentence": "Deletes the letter; the run stays failed."},
        ]
        if "interrupted" in found["reason"]:
            remedies = [
                {
                    "action": "tool_done",
                    "sentence": "The tool had acted: the run continues with this result.",
                },
                {"action": "tool_again", "sentence": "The tool had not acted: it is called again."},
                remedies[1],
            ]
        return found | {
            "message": json.dumps(
                {"type": "task", "id": found["task_id"], "content": found["text"]}
            ),
            "headers": {"x-death-count": 4, "reason": found["reason"]},
            "remedies": remedies,
        }

    @app.post("/api/dead-letters/replay")
    @app.post("/api/dead-letters/drop")
    def settle(body: Json) -> Json:
        gone = [
            it
            for it in sample.letters
            if it["id"] in body.get("ids", [])
            or (
                "ids" not in body
                and (body.get("reason") or "") in it["reason"]
                and body.get("agent") in {None, it["agent"]}
                and it["at"] <= body.get("until", it["at"])
            )
        ]
        sample.letters = [it for it in sample.letters if it not in gone]
        return {"done": len(gone), "failed": []}

    @app.get("/api/approvals")
    def approvals(state: str = "pending", agent: str = "", limit: int = 50) -> Json:
        found = [
            it
            for it in sample.approvals
            if it["state"] == state and (not agent or it["agent"] == agent)
        ]
        return {"approvals": found[:limit], "next": None, "total": len(found)}

    @app.post("/api/approvals/{id}")
    def decide(id: str, body: Json) -> Json:
        found = next(it for it in sample.approvals if it["id"] == id)
        if found["state"] != "pending":
            by = f"already {found['state']} by {found['decided_by']}"
            raise Problem(HTTPStatus.CONFLICT, by)
        found |= {
            "state": "approved" if body["decision"] == "approve" else "denied",
            "decided_by": "operator",
            "decided_at": iso(datetime.now(UTC)),
            "note": body["note"],
        }
        return found

    @app.get("/api/runs")
    def runs(
        agent: str = "",
        status: str = "",
        kind: str = "",
        session: str = "",
        q: str = "",
        since: str = "",
        before: str = "",
        limit: int = 50,
    ) -> Json:
        start = int(before or 0)
        rows: list[Json] = []
        for at in range(start, len(sample.runs)):
            it = sample.runs[at]
            if (
                (not agent or it["agent"] == agent)
                and (not status or it["status"] == status)
                and (not kind or it["kind"] == kind)
                and (not session or it["session"] == session)
                and (not q or q.lower() in f"{it['text']} {it['run_id']}".lower())
                and it["claimed_at"] >= since
            ):
                if len(rows) == limit:
                    return {"runs": rows, "next": str(at)}
                rows.append({name: it[name] for name in it.keys() - DETAILS})
        return {"runs": rows, "next": None}

    @app.get("/api/runs/{id}")
    def run(id: str) -> Json:
        it = sample.run(id)
        ended = it["ended_at"] is not None
        text = sample.texts.get(
            it["run_id"], content.HOSTILE if it["run_id"] == "badc0de001" else content.EMAIL
        )
        sentences = {
            "ok": "Answered by 2 processes: the first one died after 50 s."
            if it["attempts"]
            else "Answered.",
            "failed": "Failed: the tool 'refund' was interrupted, and may have acted.",
        }
        return {name: it[name] for name in it.keys() - {"bars", "parent_step"}} | {
            "outcome": sentences.get(it["status"], f"The run is {it['status']}."),
            "cost": 0.0184 if ended else None,
            "usage": USAGE,
            "deadline_at": None,
            "definition": "5f1c2a",
            "message": {"content": sample.texts.get(it["run_id"], it["text"]), "context": None},
            "response": {"content": text, "data": None, "model": "gpt-5"}
            if it["status"] == "ok"
            else None,
            "detail": "refund(order=4711) had begun at 15:01:12 in carol.12f00d99"
            if it["status"] == "failed"
            else None,
            "notes": [],
            "root_run_id": sample.tree(it)[0]["run_id"],
        }

    @app.get("/api/runs/{id}/tree")
    def tree(id: str, after: str = "") -> Json:
        found = sample.tree(sample.run(id))
        steps = sum(1 for it in found for one in it["bars"] if one["step"])
        changed = [
            it for it in found if not after or it["ended_at"] is None or it["ended_at"] > after
        ]
        return {
            "at": iso(datetime.now(UTC)),
            "cursor": iso(datetime.now(UTC)),
            "runs": changed,
            "steps_total": steps,
            "approvals": [
                it for it in sample.approvals if it["run_id"] in {one["run_id"] for one in found}
            ],
        }

    @app.get("/api/runs/{id}/steps/{epoch}/{turn}/{position}")
    def step(id: str, epoch: int, turn: int, position: int) -> Json:
        it = sample.run(id)
        found = next(
            one
            for one in it["bars"]
            if one["step"] == {"epoch": epoch, "turn": turn, "position": position}
        )
        hostile = it["run_id"] == "badc0de001"
        output: Any = {
            "content": content.HOSTILE if hostile else "I will ask Bob to write it.",
            "tool_calls": [
                {
                    "name": "bob",
                    "arguments": {"prompt": "Please write an email about the summer party."},
                }
            ],
        }
        if found["kind"] == "tool":
            output = (
                content.HOSTILE * 4000 if hostile else "Order 4711 left the warehouse on Monday."
            )
        request = [
            {
                "role": "system",
                "content": "You are a manager at FooBar Inc. You manage Bob.",
            },
            {"role": "user", "content": it["text"]},
        ]
        return {
            "kind": found["kind"],
            "name": found["name"],
            "input": request if found["kind"] == "model" else {"order": 4711},
            "output": output,
            "usage": {"input_tokens": 1320, "output_tokens": 84}
            if found["kind"] == "model"
            else None,
            "cost": 0.0021 if found["kind"] == "model" else None,
            "finished_at": found["to"],
            "seconds": 1.2,
            "input_truncated": False,
            "output_truncated": False,
        }

    @app.post("/api/runs/{id}/cancel", status_code=202)
    def cancel(id: str) -> Json:
        sample.run(id).update(status="cancelled", ended_at=iso(datetime.now(UTC)))
        return {}

    @app.post("/api/tasks", status_code=202)
    def ask(body: Json) -> Json:
        begin = datetime.now(UTC)
        number = len(sample.runs)
        run = row(
            f"11fe{number:06d}",
            body["agent"],
            "running",
            begin,
            None,
            body["content"],
            session=body.get("session"),
        )
        run["bars"] = [
            bar("queued", begin, -0.1, 0),
            bar("model", begin, 0, None, "gpt-5", step=(1, 0), instance="alice.7f3a90c2"),
        ]
        sample.runs.insert(0, run)
        sample.by_id[run["run_id"]] = run
        return {
            "id": run["task_id"],
            "agent": run["agent"],
            "run_id": run["run_id"],
            "status": "sent",
        }

    @app.post("/api/triggers", status_code=202)
    def trigger(body: Json) -> Json:
        return ask(body | {"content": body.get("content", "")})

    @app.post("/api/swarms/{group}/messages", status_code=202)
    def broadcast(group: str, body: Json) -> Json:
        return {"id": f"to-{group}"}

    @app.get("/api/tasks/{id}/events")
    async def task_events(id: str) -> EventSourceResponse:
        run = sample.run(id)
        begin = datetime.fromisoformat(run["claimed_at"])

        async def events() -> AsyncIterator[dict[str, str]]:
            if run["status"] == "parked":
                await asyncio.sleep(3600)
            turn = 1
            for word in STREAMED.split(" "):
                await asyncio.sleep(0.06)
                yield {"event": "text", "data": json.dumps({"turn": turn, "text": f"{word} "})}
            now = (datetime.now(UTC) - begin).total_seconds()
            child = row(
                f"c{run['run_id']}",
                "bob",
                "running",
                begin + timedelta(seconds=now),
                None,
                "Please write an email.",
                parent_run_id=run["run_id"],
            )
            child["bars"] = [bar("model", begin, now, None, "gpt-5-mini", step=(1, 0))]
            run["bars"][1]["to"] = iso(datetime.now(UTC))
            run["bars"].append(
                bar("worker", begin, now, None, "bob", step=(1, 1), child=child["run_id"])
            )
            sample.runs.append(child)
            sample.by_id[child["run_id"]] = child
            yield {"event": "run", "id": "1", "data": "{}"}
            await asyncio.sleep(0.6)
            for it in (child, run):
                it |= {"status": "ok", "ended_at": iso(datetime.now(UTC))}
                for one in it["bars"]:
                    one["to"] = one["to"] or it["ended_at"]
            yield {"event": "response", "id": "2", "data": "{}"}

        return EventSourceResponse(events())

    @app.get("/api/events")
    async def all_events() -> EventSourceResponse:
        async def events() -> AsyncIterator[dict[str, str]]:
            moves = [
                ("worker.asked", "alice", {"worker": "bob"}),
                ("worker.answered", "alice", {"worker": "bob", "status": "ok"}),
                ("note.heard", "tom", {"peer": "harry"}),
                ("worker.asked", "editor", {"worker": "writer"}),
            ]
            for number in range(10_000):
                name, agent, detail = moves[number % len(moves)]
                yield {
                    "event": "event",
                    "data": json.dumps(
                        {
                            "name": name,
                            "agent": agent,
                            "detail": detail,
                            "at": iso(datetime.now(UTC)),
                            "run_id": None,
                        }
                    ),
                }
                await asyncio.sleep(0.8)

        return EventSourceResponse(events())

    app.include_router(files.router)
    return app


if __name__ == "__main__":
    uvicorn.run(application(Sample(listed=100_000)), port=int(sys.argv[1]), log_level="warning")
