"""Other clients as their users install them: from npm and PyPI, unmodified.

They are installed into folders of their own. Each prints what it has received as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.integration.services.gateway.openai.conftest import Door
from tests.integration.services.gateway.openai.test_chat import statuses
from tests.support.machine import need

pytestmark = [
    pytest.mark.long,
    pytest.mark.parametrize("server", ["rabbitmq-4.0"], indirect=True),
]

NPM = ("openai@6", "ai@6", "@ai-sdk/openai@3", "@ai-sdk/openai-compatible@2")
PYPI = ("langchain-openai==1.*", "llm==0.*")
TEXT = "One two three four five."
PATIENCE_S = 300.0

OPENAI = """
import OpenAI from "openai";
const client = new OpenAI({ baseURL: process.env.DOOR, apiKey: "none", timeout: 60000 });
const said = (content) => ({ model: "bob", messages: [{ role: "user", content }] });
const found = { models: [] };
for await (const model of client.models.list()) found.models.push(model.id);
const made = await client.chat.completions.create(said(`[[reply ${process.env.TEXT}]]`));
found.chat = made.choices[0].message.content;
const chunks = await client.chat.completions.create({
  ...said(`[[reply ${process.env.TEXT}]]`), stream: true, stream_options: { include_usage: true },
});
found.stream = "";
for await (const chunk of chunks) {
  found.stream += chunk.choices[0]?.delta?.content ?? "";
  found.usage = chunk.usage?.total_tokens ?? found.usage;
}
const response = await client.responses.create({ model: "bob", input: "[[reply First.]]" });
found.response = response.output_text;
const events = client.responses.stream({
  model: "bob", input: `[[reply ${process.env.TEXT}]]`, previous_response_id: response.id,
});
found.events = [];
for await (const event of events) found.events.push(event.type);
found.final = (await events.finalResponse()).output_text;
let begun = await client.responses.create({
  model: "bob", input: "[[latency 1]][[reply Later.]]", background: true,
});
while (["queued", "in_progress"].includes(begun.status)) {
  await new Promise((go) => setTimeout(go, 200));
  begun = await client.responses.retrieve(begun.id);
}
found.background = begun.output_text;
try {
  await client.chat.completions.create(said("[[fail 401 9]]"));
} catch (error) {
  found.error = [error.status, error.code];
}
const slow = said("[[latency 5]][[reply Here it is.]]");
const impatient = client.withOptions({ timeout: 2000, maxRetries: 2 });
found.impatient = (await impatient.chat.completions.create(slow)).choices[0].message.content;
console.log(JSON.stringify(found));
"""

VERCEL = """
import { generateText, streamText } from "ai";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
const at = { baseURL: process.env.DOOR, apiKey: "none" };
const openai = createOpenAI(at);
const compatible = createOpenAICompatible({ name: "hutch", includeUsage: true, ...at });
const found = {};
for (const [name, model] of Object.entries({
  responses: openai("bob"), chat: openai.chat("bob"), compatible: compatible("bob"),
})) {
  const prompt = `[[reply ${process.env.TEXT}]]`;
  const made = await generateText({ model, prompt, system: "Be brief." });
  const stream = streamText({ model, prompt });
  let text = "";
  for await (const piece of stream.textStream) text += piece;
  found[name] = [made.text, made.finishReason, text, await stream.finishReason];
}
try {
  await generateText({ model: compatible("bob"), prompt: "[[fail 401 9]]" });
} catch (error) {
  found.error = [error.statusCode, error.isRetryable];
}
console.log(JSON.stringify(found));
"""

LANGCHAIN = """
import json, os
from langchain_openai import ChatOpenAI
found = {}
for name in (False, True):
    model = ChatOpenAI(
        model="bob", base_url=os.environ["DOOR"], api_key="none", use_responses_api=name
    )
    said = [("system", "Be brief."), ("human", f"[[reply {os.environ['TEXT']}]]")]
    pieces = list(model.stream(said))
    found["responses" if name else "chat"] = [
        model.invoke(said).text, "".join(piece.text for piece in pieces)
    ]
print(json.dumps(found))
"""

LLM = """
- model_id: bob
  model_name: bob
  api_base: {url}
"""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need("node")
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text('{"private": true, "type": "module"}', "utf-8")
    command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund", "--silent", *NPM]
    subprocess.run(command, cwd=folder, check=True)
    return folder


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment of their own: they want other versions than we do."""
    folder = tmp_path_factory.mktemp("python")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", *PYPI], check=True)
    return folder / "bin"


def output(door: Door, *command: str | Path, cwd: Path | None = None, **env: str) -> str:
    own = os.environ | {"DOOR": door.url, "TEXT": TEXT} | env
    done = subprocess.run(
        command, cwd=cwd, env=own, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert not done.returncode, done.stderr
    return done.stdout


def by_node(door: Door, node: Path, script: str) -> Any:
    (node / "client.js").write_text(script, "utf-8")
    return json.loads(output(door, "node", "client.js", cwd=node))


def test_openai_for_node_chats_streams_goes_on_and_never_asks_twice(door: Door, node: Path) -> None:
    found = by_node(door, node, OPENAI)
    events, usage = found.pop("events"), found.pop("usage")
    assert found == {
        "models": ["alice", "bob", "form"],
        "chat": TEXT,
        "stream": TEXT,
        "response": "First.",
        "final": TEXT,
        "background": "Later.",
        "error": [422, "run_failed"],
        "impatient": "Here it is.",
    }
    assert usage > 0
    assert events[0] == "response.created"
    assert events[-1] == "response.completed"
    assert [status for _, status in statuses(door.system)] == ["ok"] * 5 + ["failed", "ok"]


def test_vercels_ai_speaks_both_apis_and_does_not_repeat_a_failed_run(
    door: Door, node: Path
) -> None:
    found = by_node(door, node, VERCEL)
    answered = [TEXT, "stop", TEXT, "stop"]
    assert found == {
        "responses": answered,
        "chat": answered,
        "compatible": answered,
        "error": [422, False],
    }
    assert [status for _, status in statuses(door.system)] == ["ok"] * 6 + ["failed"]


def test_langchain_llm_and_curl_ask_an_agent(door: Door, python: Path, tmp_path: Path) -> None:
    found = json.loads(output(door, python / "python", "-c", LANGCHAIN))
    assert found == {"chat": [TEXT, TEXT], "responses": [TEXT, TEXT]}

    (tmp_path / "extra-openai-models.yaml").write_text(LLM.format(url=door.url), "utf-8")
    said = f"[[reply {TEXT}]]"
    llm = (python / "llm", "-m", "bob", "--key", "none", "--no-log", said)
    for more in ([], ["--no-stream"]):
        assert output(door, *llm, *more, LLM_USER_PATH=str(tmp_path)).strip() == TEXT

    body = {"model": "bob", "messages": [{"role": "user", "content": said}], "stream": True}
    curl = (
        "curl",
        "-sS",
        "-N",
        f"{door.url}/chat/completions",
        "-H",
        "Content-Type: application/json",
    )
    lines = output(door, *curl, "-d", json.dumps(body)).splitlines()
    assert lines[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    assert "".join(it["choices"][0]["delta"].get("content", "") for it in chunks) == TEXT


def test_a_quiet_stream_has_comments_so_that_no_proxy_closes_it(door: Door) -> None:
    body = json.dumps({"model": "bob", "input": "[[latency 22]][[reply Hi.]]", "stream": True})
    curl = (
        "curl",
        "-sS",
        "-N",
        "-i",
        f"{door.url}/responses",
        "-H",
        "Content-Type: application/json",
    )
    began = time.monotonic()
    said = output(door, *curl, "-d", body)
    assert time.monotonic() - began > 20
    assert said.count(": keep-alive") >= 2
    assert "x-accel-buffering: no" in said.lower()
    assert "[DONE]" not in said
