"""What `hutch doctor` finds without a broker: settings, versions, `.hutch`, endpoints."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from services.cli.doctor.endpoints import endpoint_findings
from services.cli.doctor.finding import Finding
from services.cli.doctor.home import home_findings
from services.cli.doctor.processes import process_findings
from services.cli.doctor.settings import settings_findings
from services.cli.doctor.versions import broker_findings, library_findings, own_requirements
from services.cli.machine.home import locked, recorded
from shared.client.system.status import (
    AgentStatus,
    ScheduleStatus,
    StoreStatus,
    SystemStatus,
)
from shared.definitions.model import Definition
from shared.settings.environment import Settings
from shared.store.queries.stuck import LimitWait
from tests.support.command_line import hutch


def text(findings: Iterator[Finding] | list[Finding]) -> str:
    return "\n".join(f"{it.severity}: {it.sentence} -> {it.remedy}" for it in findings)


def test_a_misspelt_variable_and_a_wrong_proxy_are_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not text(settings_findings(Settings.from_environment()))
    monkeypatch.setenv("HUTCH_STROE", "sqlite:///elsewhere.db")
    monkeypatch.setenv("HTTPS_PROXY", "http://:0")
    monkeypatch.setenv("HUTCH_UNRELATED_THING", "1")
    found = text(settings_findings(Settings.from_environment()))
    assert "advice: no process reads the variable HUTCH_STROE -> if HUTCH_STORE is meant" in found
    assert "fault: HTTPS_PROXY is no address of a proxy" in found
    assert "UNRELATED" not in found


def test_an_agents_file_with_a_fault_and_a_missing_folder_are_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "bob.yaml").write_text("{name: bob, limits: {turn: 1}}")
    found = text(settings_findings(Settings.from_environment()))
    assert f"fault: {folder}/bob.yaml:1: limits.turn: unknown key" in found
    monkeypatch.setenv("HUTCH_AGENTS", str(folder / "nowhere"))
    found = text(settings_findings(Settings.from_environment()))
    assert "advice: the agents' files can't be read here" in found


def test_settings_that_cannot_be_read_are_one_fault(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUTCH_DRAIN_S", "soon")
    done = hutch("doctor", "--json")
    assert done.exit_code == 1
    [found] = json.loads(done.stdout)["findings"]
    assert found["area"] == "settings"
    assert "HUTCH_DRAIN_S" in found["sentence"]


def test_without_a_store_and_a_broker_it_says_so_and_creates_neither(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("RABBITMQ_URL")
    monkeypatch.delenv("HUTCH_STORE")
    (folder / "compose.yaml").write_text("command: [python, -m, services.agent, bob]")
    done = hutch("doctor")
    assert done.exit_code == 1
    assert "fault: store: there is no store yet\n  do: run 'hutch migrate' or" in done.stdout
    assert "fault: broker: no broker: set RABBITMQ_URL" in done.stdout
    assert "'docker compose run --rm operator hutch doctor'" in done.stdout
    assert not (folder / ".hutch").exists()


def test_a_missing_or_old_library_and_an_old_broker_are_found() -> None:
    assert not text(library_findings(own_requirements()))
    needs = ["aio-pika>=99.1", "no-such-library>=1", 'pytest>=99; extra == "dev"']
    found = text(library_findings(needs))
    assert "fault: the library aio-pika is " in found
    assert ", and 99.1 is needed" in found
    assert "fault: the library no-such-library is missing" in found
    assert "pytest" not in found
    assert "fault: the broker is RabbitMQ 3.8.9" in text(broker_findings("RabbitMQ 3.8.9"))
    assert not text(broker_findings("RabbitMQ 4.0.5"))


def test_what_a_killed_hutch_up_has_left_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    home = folder / ".hutch"
    home.mkdir()
    settings = Settings.from_environment()
    assert not text(home_findings(settings))
    (home / "broker").write_text("amqp://guest:guest@127.0.0.1:2/")
    assert "no 'hutch up' runs here: it was killed" in text(home_findings(settings))
    with locked(home), recorded(home, "amqp://guest:guest@127.0.0.1:2/"):
        assert "advice: 'hutch up' runs here with a broker" in text(home_findings(settings))


def test_runs_that_wait_for_a_models_limit_are_advice() -> None:
    waits = LimitWait("gpt-5*", "5 concurrent calls", 1, 9.0, 4.0)
    it = SystemStatus(
        agents=[],
        scheduler=1,
        gateway=1,
        schedules=[],
        dead_letters=0,
        dead_letters_by_reason={},
        takes_messages=True,
        store=StoreStatus("sqlite:///hutch.db", "0011", "SQLite 3", 1),
        broker=None,
        faults=[],
        limits=[waits],
    )
    assert text(process_findings(it)).startswith(
        "advice: 1 run waits, for up to 9 s, for the limit of model gpt-5*: 5 concurrent calls; "
        "no calls for 4 s -> wait"
    )


def of_bob(bob: AgentStatus) -> str:
    return text(
        process_findings(
            SystemStatus(
                agents=[bob],
                scheduler=bob.replicas,
                gateway=bob.replicas,
                schedules=[ScheduleStatus("bob", "plan", None, None, None, late=False)],
                dead_letters=0,
                dead_letters_by_reason={},
                takes_messages=True,
                store=StoreStatus("sqlite:///hutch.db", "0007", "SQLite 3", 1),
                broker=None,
                faults=[],
            )
        )
    )


def test_agents_whose_heartbeats_cannot_be_written_are_not_called_dead() -> None:
    assert of_bob(AgentStatus("bob", None, queued=1)) == ""
    dead = of_bob(AgentStatus("bob", 0, queued=1))
    assert "fault: no process of 'bob' runs: it has 1 message and 0 open runs to do -> " in dead
    assert "if it has ended, 'hutch logs bob' or 'docker compose logs bob' has the reason" in dead
    assert "fault: no scheduler runs" in dead


class Endpoint(BaseHTTPRequestHandler):
    """A provider: the key `good` may list the models, `/moved` leads elsewhere."""

    keys: list[str]

    def do_GET(self) -> None:
        key = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.keys.append(f"{self.path} {key}")
        moved = self.path.startswith("/moved")
        code = 302 if moved else 503 if self.path.startswith("/busy") else 200
        self.send_response(401 if key == "bad" else code)
        if moved:
            self.send_header("Location", "/v1/elsewhere")
        body = b'{"data": [{"id": "small-1"}]}'
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    Endpoint.keys = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def asked(**models: dict[str, str]) -> str:
    agents = {
        name: Definition.model_validate({"name": name, "model": model})
        for name, model in models.items()
    }
    return text(asyncio.run(endpoint_findings(Settings.from_environment(), agents)))


def test_an_endpoint_that_refuses_or_is_away_or_lacks_the_model_is_found(
    folder: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOOD", "good")
    monkeypatch.setenv("BAD", "bad")
    good = {"name": "small-1", "base_url": f"{endpoint}/v1", "api_key_env": "GOOD"}
    assert not asked(alice=good)
    assert "does not list the model 'large-1'" in asked(alice=good | {"name": "large-1"})
    refused = asked(alice=good | {"api_key_env": "BAD"})
    assert f"fault: the endpoint {endpoint}/v1 refuses the key (401) -> correct BAD" in refused
    assert "answers 503" in asked(alice=good | {"base_url": f"{endpoint}/busy"})
    away = asked(alice=good | {"base_url": "http://127.0.0.1:1/v1"})
    assert "the endpoint http://127.0.0.1:1/v1 does not answer here: " in away
    unset = asked(alice=good | {"api_key_env": "UNSET"})
    assert unset.startswith("advice: 'alice' wants its key from UNSET, which is not set here")
    monkeypatch.setenv("GOOD_FILE", "also.txt")
    assert "fault: GOOD and GOOD_FILE are both set" in asked(alice=good)
    monkeypatch.delenv("GOOD_FILE")
    nothing = asked(alice={"name": "small-1"}, bob={"name": "small-1"})
    assert nothing.startswith("not seen: the models of alice, bob: neither OPENAI_API_KEY nor")


def test_the_endpoint_of_embeddings_is_asked_too(
    folder: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOD", "good")
    model = {"name": "small-1", "base_url": f"{endpoint}/v1", "api_key_env": "GOOD"}
    knowledge = {"paths": ["docs"], "embeddings": "embed-1"}
    fields = {"name": "alice", "model": model, "knowledge": knowledge}
    agents = {"alice": Definition.model_validate(fields)}
    found = text(asyncio.run(endpoint_findings(Settings.from_environment(), agents)))
    assert "does not list the model 'embed-1'" in found


def test_a_key_goes_to_its_own_endpoint_alone(
    folder: Path, endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "ours")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{endpoint}/v1")
    monkeypatch.setenv("OPENAI_MODEL", "small-1")
    monkeypatch.setenv("OTHER", "other")
    moved = {"base_url": f"{endpoint}/moved", "api_key_env": "OTHER"}
    assert not asked(alice={}, bob={"base_url": f"{endpoint}/bob"}, tom=moved)
    assert sorted(Endpoint.keys) == ["/bob/models ", "/moved/models other", "/v1/models ours"]


def test_runs_that_wait_for_a_person_are_named() -> None:
    found = of_bob(AgentStatus("bob", 1, parked=2))
    assert found.startswith("advice: 2 runs of 'bob' can't go on before a person decides -> ")
    assert "'hutch approvals'" in found
