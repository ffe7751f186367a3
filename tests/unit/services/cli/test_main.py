"""The command line without a broker: its output and exit codes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from services.cli.__main__ import COMMANDS, load
from services.cli.places import shown_url
from shared.store.schema import REVISION
from tests.support.command_line import CLOSED, hutch
from tests.support.repository import REPOSITORY

MODEL = "openai httpx2 genai_prices"
SERVER = "starlette uvicorn prometheus_client"
REST = "sqlalchemy aio_pika aiormq pydantic structlog"


@pytest.mark.parametrize(
    ("command", "heavy", "said"),
    [
        ("--help", f"{MODEL} {SERVER} alembic asyncpg {REST}", "shutdown"),
        ("status", f"{MODEL} {SERVER} alembic asyncpg", "no broker can be reached"),
    ],
)
def test_a_command_is_quick_because_it_imports_nothing_that_it_does_not_need(
    tmp_path: Path, command: str, heavy: str, said: str
) -> None:
    program = (
        "import sys\n"
        "from services.cli.__main__ import main\n"
        f"sys.argv = ['hutch', '{command}']\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    print(set(sys.modules) & set({heavy!r}.split()))"
    )
    env = {**os.environ, "RABBITMQ_URL": "amqp://127.0.0.1:1/", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=env, cwd=tmp_path
    )
    assert said in done.stdout + done.stderr
    assert done.stdout.endswith("set()\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_hutch_help_has_the_first_line_of_each_commands_help(name: str) -> None:
    own = load(name)
    assert own.name == name
    first, *_ = (own.help or "").splitlines()
    assert first == COMMANDS[name][1]


def test_the_version_is_that_of_the_distribution_and_the_image() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))
    version = project["project"]["version"]
    said = hutch("--version")
    assert (said.exit_code, said.stdout) == (0, f"hutch {version}\n")
    assert f'image.version="{version}"' in (REPOSITORY / "Dockerfile").read_text("utf-8")


@pytest.mark.parametrize("line", ["--debug check", "check --debug", "dead list --debug"])
def test_the_trace_is_shown_with_debug_anywhere_on_the_line(folder: Path, line: str) -> None:
    (folder / "bob.yaml").write_text("name: [")
    assert "Traceback" in hutch(*line.split()).stderr


def test_debug_after_two_hyphens_is_a_text(folder: Path) -> None:
    said = hutch("ask", "alice", "--", "--debug").stderr
    assert said.startswith("hutch: no broker can be reached")


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("hutch ch", "check"),
        ("hutch ask ", "alice bob"),
        ("hutch ask b", "bob"),
        ("hutch watch --agent b", "bob"),
        ("hutch restart b", "bob"),
        ("hutch scale b", "bob"),
        ("hutch logs b", "bob"),
        ("hutch runs b", "bob"),
        ("hutch k8s b", "bob"),
        ("hutch up alice b", "bob"),
        ("hutch cancel x --agent a", "alice"),
        ("hutch dead dr", "drop"),
        ("hutch check --h", "--help"),
    ],
)
def test_commands_options_and_agents_are_completed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, typed: str, completed: str
) -> None:
    monkeypatch.setenv("_HUTCH_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    assert hutch().stdout.split() == completed.split()


def test_the_completion_of_a_shell_is_printed_for_its_start_file() -> None:
    program = f"{sys.executable} -m services.cli --show-completion; :"  # `:`: bash stays its parent
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, cwd=REPOSITORY)
    assert "complete -o default -F _hutch_completion hutch" in done.stdout


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


STEERING = [
    ("ask", "alcie", "Hello"),
    ("send", "alcie", "Hello"),
    ("trigger", "alcie"),
    ("cancel", "x", "--agent", "alcie"),
    ("pause", "alcie"),
    ("unpause", "alcie"),
    ("shutdown", "alcie"),
    ("runs", "alcie"),
    ("watch", "--agent", "alcie"),
]


@pytest.mark.parametrize("arguments", STEERING)
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


def test_an_unknown_swarm_is_remarked_on_with_the_known_ones(folder: Path) -> None:
    (folder / "tom.yaml").write_text("{name: tom, swarm: research}")
    remark, _ = hutch("broadcast", "resarch", "Wake up").stderr.splitlines()
    assert "no swarm 'resarch'" in remark
    assert "known: research; did you mean research?" in remark


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


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--timeout", "5"), "--timeout: "),
        (("--timeout", "87600000h"), "--timeout: "),
        (("--id", "two words"), "id: "),
    ],
)
def test_a_wrong_option_is_named(folder: Path, option: tuple[str, str], said: str) -> None:
    asked = hutch("ask", "alice", "Hi", *option)
    assert asked.exit_code == 2
    assert said in asked.stderr


def test_usage_errors_exit_with_2() -> None:
    assert hutch("ask").exit_code == 2
    assert hutch("no-such-command").exit_code == 2
    assert hutch("runs", "--status", "lost").exit_code == 2


def test_debug_shows_the_trace(folder: Path) -> None:
    assert "Traceback" not in hutch("ask", "alcie", "Hi").stderr
    assert "Traceback" in hutch("--debug", "ask", "alcie", "Hi").stderr
