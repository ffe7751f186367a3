"""The command line without a broker: its output and exit codes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from services.cli.__main__ import COMMANDS, load
from services.cli.places import start_hint
from shared.settings.environment import Settings
from shared.settings.secrets import shown_url
from shared.store.schema import REVISION
from tests.support.command_line import CLOSED, hutch
from tests.support.repository import REPOSITORY

MODEL = "openai httpx2 genai_prices jsonschema"
SERVER = "starlette uvicorn prometheus_client testcontainers"
STORE, BROKER = "sqlalchemy alembic asyncpg", "aio_pika aiormq"


def imported(heavy: str, program: str) -> str:
    """What a new process prints: the program's output, and then which of these are imported."""
    program = f"import sys\n{program}\nprint(sorted(set(sys.modules) & set({heavy!r}.split())))"
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=env)
    return done.stderr + done.stdout


@pytest.mark.parametrize(
    ("command", "heavy", "said"),
    [
        ("--help", f"{MODEL} {SERVER} {STORE} {BROKER} pydantic structlog", "shutdown"),
        ("check", f"{MODEL} {SERVER} {STORE} {BROKER}", "2 agents in"),
        ("ask alice Hi", f"{MODEL} {SERVER} {STORE}", "no broker can be reached"),
        ("runs", f"{MODEL} {SERVER} {BROKER} alembic asyncpg", "no such runs"),
        ("status", f"{MODEL} {SERVER} alembic asyncpg", "no broker can be reached"),
    ],
)
def test_a_command_is_quick_because_it_imports_nothing_that_it_does_not_need(
    folder: Path, monkeypatch: pytest.MonkeyPatch, command: str, heavy: str, said: str
) -> None:
    monkeypatch.chdir(folder.parent)
    hutch("migrate")
    program = (
        "from services.cli.__main__ import main\n"
        f"sys.argv = ['hutch', *{command.split()}]\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )
    found = imported(heavy, program)
    assert said in found
    assert found.endswith("[]\n")


@pytest.mark.parametrize(
    ("commands", "heavy"),
    [
        ({"demo", "up", "migrate"}, f"{MODEL} asyncpg testcontainers"),
        (COMMANDS.keys() - {"demo", "up", "migrate"}, f"{MODEL} {SERVER} alembic asyncpg"),
        ({"ask", "watch", "down"}, STORE),
        ({"runs", "pause", "unpause", "forget"}, BROKER),
        ({"init", "check", "topology", "k8s", "logs", "restart", "scale"}, f"{STORE} {BROKER}"),
    ],
)
def test_the_modules_of_commands_import_nothing_that_all_of_them_can_do_without(
    commands: set[str], heavy: str
) -> None:
    loads = f"from services.cli.__main__ import load\nfor name in {sorted(commands)}: load(name)"
    assert imported(heavy, loads) == "[]\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_hutch_help_has_the_first_line_of_each_commands_help(name: str) -> None:
    own = load(name)
    assert own.name == name
    first, *_ = (own.help or "").splitlines()
    assert first == COMMANDS[name][1]


def test_advice_does_not_change_the_exit_code(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_MODEL", "m")
    assert hutch("check").stdout == f"2 agents in {folder}: no fault\n"
    (folder / "bob.yaml").write_text("{name: bob}")
    checked = hutch("check")
    assert checked.exit_code == 0
    assert "advice: bob has no description" in checked.stdout


def test_a_missing_folder_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HUTCH_AGENTS", str(tmp_path / "nowhere"))
    checked = hutch("check")
    assert checked.exit_code == 2
    assert "run 'hutch init'" in checked.stderr


REMARKING = [
    ("cancel", "x", "--agent", "alcie"),
    ("unpause", "alcie"),
    ("shutdown", "alcie"),
    ("runs", "alcie"),
    ("watch", "--agent", "alcie"),
]
STEERING = [
    *REMARKING,
    ("ask", "alcie", "Hello"),
    ("send", "alcie", "Hello"),
    ("trigger", "alcie"),
    ("pause", "alcie"),
]


@pytest.mark.parametrize("arguments", REMARKING)
def test_a_name_that_no_file_has_is_remarked_on_and_used(
    folder: Path, arguments: tuple[str, ...]
) -> None:
    """The files here may be older than the agents that run."""
    remark, *said = hutch(*arguments).stderr.splitlines()
    assert remark == f"no agent 'alcie' in {folder}; known: alice, bob; did you mean alice?"
    assert not any("alcie" in line for line in said)


@pytest.mark.parametrize("name", ["Alice", "a b", "x" * 300, ""])
@pytest.mark.parametrize("arguments", STEERING)
def test_an_impossible_name_is_refused_before_anything_is_sent(
    folder: Path, arguments: tuple[str, ...], name: str
) -> None:
    said = hutch(*(name if it == "alcie" else it for it in arguments))
    assert said.exit_code == 2
    assert said.stderr == f"hutch: '{name}' can be no agent's name: it is like alice or bob-2\n"


@pytest.mark.parametrize("spoil", ["alice.yaml", "."])
@pytest.mark.parametrize(
    "arguments",
    [
        *(tuple("alice" if it == "alcie" else it for it in one) for one in STEERING),
        ("status",),
        ("runs",),
        ("show", "x"),
        ("dead", "list"),
        ("forget", "x"),
        ("broadcast", "research", "Hello"),
        ("pause", "all"),
        ("shutdown", "scheduler"),
    ],
)
def test_commands_that_control_or_read_need_no_file(
    folder: Path, arguments: tuple[str, ...], spoil: str
) -> None:
    whole = hutch(*arguments)
    if spoil == ".":
        shutil.rmtree(folder)
        folder.write_text("not a folder")
    else:
        (folder / spoil).write_text("name: alice\nlimits: {turn: 1}")
    spoilt = hutch(*arguments)
    remarks = ("no agent", "no swarm")
    said = [line for line in whole.stderr.splitlines() if not line.startswith(remarks)]
    assert (spoilt.exit_code, spoilt.stdout) == (whole.exit_code, whole.stdout)
    assert spoilt.stderr.splitlines() == said


@pytest.mark.parametrize("command", [("check",), ("topology",)])
def test_check_and_topology_fail_with_a_fault_in_any_file(
    folder: Path, command: tuple[str, ...]
) -> None:
    (folder / "bob.yaml").write_text("name: bob\nlimits: {turn: 1}")
    said = hutch(*command)
    assert (said.exit_code, said.stdout) == (2, "")
    assert (
        said.stderr
        == f"hutch: {folder}/bob.yaml:2: limits.turn: unknown key; did you mean turns?\n"
    )


def test_a_manifest_is_printed_for_an_agent_that_can_start(folder: Path) -> None:
    (folder / "bob.yaml").write_text("name: bob\nlimits: {turn: 1}")
    assert hutch("k8s", "alice").exit_code == 0
    assert "limits.turn: unknown key" in hutch("k8s", "bob").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("drop",), "which dead letters? name one, or give --agent, --reason or --all"),
        (("replay", "--agent", "bob", "beef"), "give either an id, or --agent, --reason or --all"),
        (
            ("replay", "--all", "--tool-done", "paid"),
            "the result of one call: name one dead letter",
        ),
        (("replay", "beef", "--tool-done", "x", "--tool-again"), "exclude each other"),
    ],
)
def test_a_wrong_choice_of_dead_letters_is_refused_before_the_broker_is_needed(
    folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    dead = hutch("dead", *arguments)
    assert dead.exit_code == 2
    assert said in dead.stderr


@pytest.mark.parametrize(
    "arguments",
    [("ask", "alice", "Hi"), ("send", "bob", "Hi"), ("status",), ("dead", "list")],
)
def test_no_broker_is_one_sentence(folder: Path, arguments: tuple[str, ...]) -> None:
    said = hutch(*arguments)
    assert said.exit_code == 1
    assert said.stderr.startswith("hutch: no broker can be reached at 127.0.0.1:1")
    assert len(said.stderr.splitlines()) == 1


def test_a_missing_broker_url_is_a_settings_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RABBITMQ_URL")
    said = hutch("ask", "alice", "Hi")
    assert said.exit_code == 2
    assert "set RABBITMQ_URL" in said.stderr


def test_the_broker_of_hutch_up_is_found_where_none_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RABBITMQ_URL")
    monkeypatch.chdir(folder)
    (folder / ".hutch").mkdir()
    (folder / ".hutch" / "broker").write_text(CLOSED)
    assert "no broker can be reached at 127.0.0.1:1" in hutch("send", "bob", "Hi").stderr


@pytest.mark.parametrize("arguments", [("runs",), ("show", "x")])
def test_an_empty_store_names_the_command_to_run(folder: Path, arguments: tuple[str, ...]) -> None:
    file = folder.parent / "hutch.db"
    absent = hutch(*arguments)
    assert (absent.exit_code, absent.stderr) == (
        1,
        "hutch: no store yet: run 'hutch migrate' or 'hutch up'; "
        f"looked for the store sqlite:///{file}\n",
    )
    assert not file.exists()
    file.touch()
    assert hutch(*arguments).stderr == (
        f"hutch: the store is empty; run 'hutch migrate' first; looked at the store "
        f"sqlite:///{file}\n"
    )


def test_a_migrated_store_has_no_runs_yet(folder: Path) -> None:
    assert hutch("migrate").stdout == f"the store is at revision {REVISION}\n"
    place = f"the store sqlite:///{folder.parent / 'hutch.db'}\n"
    listed = hutch("runs", "--json")
    assert (listed.stdout, listed.stderr) == ("[]\n", f"no such runs in {place}")
    said = hutch("show", "x")
    assert said.exit_code == 1
    assert said.stderr == (
        "hutch: no run and no task has the id 'x': 'hutch runs' lists them; looked in " + place
    )


def test_beside_a_compose_file_a_command_that_finds_nothing_names_the_operators_service(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hint = "if compose runs the agents of this folder: 'docker compose run --rm operator hutch "
    monkeypatch.chdir(folder.parent)
    monkeypatch.delenv("HUTCH_STORE")
    assert hint not in hutch("runs").stderr
    shutil.copy(REPOSITORY / "docker-compose.yml", "docker-compose.yml")
    assert f"{hint}…'" in hutch("runs").stderr
    assert not Path(".hutch").exists()
    hutch("migrate")
    assert f"{hint}runs'" in hutch("runs").stderr
    assert f"{hint}show x'" in hutch("show", "x").stderr
    monkeypatch.delenv("RABBITMQ_URL")
    assert f"{hint}…'" in hutch("status").stderr
    Path(".hutch/broker").write_text(CLOSED)
    assert hint not in hutch("runs").stderr, "'hutch up' runs here"
    monkeypatch.setenv("HUTCH_STORE", "sqlite:///elsewhere.db")
    Path(".hutch/broker").unlink()
    assert hint not in hutch("runs").stderr, "the store is named"


def test_a_place_is_shown_without_its_password_and_parameters() -> None:
    url = "postgresql://hutch:hunter2@db.host:5432/hutch?password=hunter2"
    assert shown_url(url) == "postgresql://hutch@db.host:5432/hutch"
    assert shown_url("amqp://u:p@ss@h:5672/") == "amqp://u@h:5672/"
    assert shown_url("sqlite:///.hutch/hutch.db") == "sqlite:///.hutch/hutch.db"


def test_a_cancel_of_an_unknown_id_needs_the_agent(folder: Path) -> None:
    hutch("migrate")
    said = hutch("cancel", "x")
    assert (said.exit_code, said.stderr) == (
        1,
        "hutch: no run and no task has the id 'x': name the agent with --agent, "
        "and it is cancelled when it comes\n",
    )
    assert hutch("cancel", "two words").stderr.startswith("hutch: task_id: ")


def test_cancel_and_pause_are_stored_though_no_broker_can_be_reached(folder: Path) -> None:
    hutch("migrate")
    said = hutch("cancel", "x", "--agent", "bob")
    assert said.exit_code == 0
    assert said.stderr.startswith(
        "only the store has the command, which takes a little longer: no broker"
    )
    assert said.stdout == "task x of bob is not known yet: it is cancelled when it comes\n"
    assert (
        hutch("pause", "all").stdout
        == "all agents are paused: 'hutch unpause all' ends the pause\n"
    )


def test_an_agent_without_a_service_in_compose_is_advised_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.delenv("HUTCH_STORE")
    assert start_hint(Settings.from_environment(), "carol") == "start it"
    shutil.copy(REPOSITORY / "docker-compose.yml", "docker-compose.yml")
    (folder / "carol.yaml").write_text("name: carol")
    advised = "docker-compose.yml has no service for carol: add to its services\n  carol:\n"
    assert f"advice: {advised}    <<: *agent\n" in hutch("check").stdout
    assert "no service for bob" not in hutch("check").stdout
    assert start_hint(Settings.from_environment(), "bob") == "start it: 'docker compose up -d bob'"
    assert "no service for it: 'hutch check' shows what to add" in start_hint(
        Settings.from_environment(), "carol"
    )
    Path(".hutch").mkdir(exist_ok=True)
    Path(".hutch/broker").write_text(CLOSED)
    assert start_hint(Settings.from_environment(), "carol") == "start it: 'hutch up carol'"


def test_debug_shows_the_trace(folder: Path) -> None:
    assert "Traceback" not in hutch("ask", "alcie", "Hi").stderr
    assert "Traceback" in hutch("--debug", "ask", "alcie", "Hi").stderr
