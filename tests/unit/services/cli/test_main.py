"""The command line without a broker: what it says, and its exit code."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from base64 import b64decode
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner, Result

from services.cli.__main__ import app
from shared.store.schema import REVISION

CLOSED = "amqp://guest:guest@127.0.0.1:1/"
"""Nobody listens on port 1."""

ALICE = "{name: alice, description: Manages., workers: [bob]}"
BOB = "{name: bob, description: Writes., schedule: [{name: a, every: 1h, prompt: Go.}]}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Alice and Bob, and a store that was never migrated."""
    agents = tmp_path / "agents"
    agents.mkdir()
    (agents / "alice.yaml").write_text(ALICE)
    (agents / "bob.yaml").write_text(BOB)
    monkeypatch.setenv("HUTCH_AGENTS", str(agents))
    monkeypatch.setenv("HUTCH_STORE", f"sqlite:///{tmp_path / 'hutch.db'}")
    monkeypatch.setenv("RABBITMQ_URL", CLOSED)
    return agents


def hutch(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="hutch")


def test_help_is_quick_because_nothing_heavy_is_imported() -> None:
    heavy = "sqlalchemy aio_pika aiormq openai pydantic alembic"
    program = (
        f"import sys, services.cli.__main__; assert not set(sys.modules) & set({heavy!r}.split())"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
    assert "shutdown" in hutch("--help").stdout


def test_advice_leaves_the_exit_code_alone(folder: Path) -> None:
    assert hutch("check").stdout == f"2 agents in {folder}: no fault\n"
    (folder / "bob.yaml").write_text("{name: bob}")
    checked = hutch("check")
    assert checked.exit_code == 0
    assert "advice: bob has no description" in checked.stdout


def test_a_folder_that_is_not_there_is_told(
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
def test_what_can_be_no_name_is_refused_before_anything_is_sent(
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
def test_commands_that_steer_or_look_need_no_file(
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
def test_what_is_used_as_a_whole_is_refused_by_a_fault_in_any_file(
    folder: Path, command: tuple[str, ...]
) -> None:
    (folder / "bob.yaml").write_text("name: bob\nlimits: {turn: 1}")
    said = hutch(*command)
    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr == f"hutch: {folder}/bob.yaml:2: limits.turn: unknown key\n"


def test_a_manifest_is_printed_for_an_agent_that_can_start(folder: Path) -> None:
    (folder / "bob.yaml").write_text("name: bob\nlimits: {turn: 1}")
    assert hutch("k8s", "alice").exit_code == 0
    assert "limits.turn: unknown key" in hutch("k8s", "bob").stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("drop",), "which letters? name one, or give --agent, --reason or --all"),
        (("replay", "--agent", "bob", "beef"), "a letter's id leaves nothing for --agent"),
        (("replay", "--all", "--tool-done", "paid"), "the result of one call: name the letter"),
        (("replay", "beef", "--tool-done", "x", "--tool-again"), "exclude each other"),
    ],
)
def test_which_letters_is_asked_before_the_broker(
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


def test_no_broker_named_is_a_setting_to_make(
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
    said = hutch(*arguments)
    assert (said.exit_code, said.stderr) == (
        1,
        "hutch: the store is empty; run 'hutch migrate' first\n",
    )


def test_a_migrated_store_has_no_runs_yet(folder: Path) -> None:
    assert hutch("migrate").stdout == f"the store is at revision {REVISION}\n"
    assert hutch("runs", "--json").stdout == "[]\n"
    said = hutch("show", "x")
    assert said.exit_code == 1
    assert said.stderr == "hutch: no run and no task has the id 'x': 'hutch runs' lists them\n"


def test_a_cancel_of_an_unknown_id_wants_to_know_whose_it_is(folder: Path) -> None:
    hutch("migrate")
    said = hutch("cancel", "x")
    assert (said.exit_code, said.stderr) == (
        1,
        "hutch: no run and no task has the id 'x': name the agent with --agent, "
        "and it is cancelled when it comes\n",
    )
    assert hutch("cancel", "two words").stderr.startswith("hutch: task_id: ")


def test_orders_are_kept_though_no_broker_can_be_reached(folder: Path) -> None:
    hutch("migrate")
    said = hutch("cancel", "x", "--agent", "bob")
    assert said.exit_code == 0
    assert said.stderr.startswith("only the store was told, which takes a little longer: no broker")
    assert said.stdout == "task x of bob is not known yet: it is cancelled when it comes\n"
    assert hutch("pause", "all").stdout == "all agents are paused: 'hutch unpause all' lets go\n"


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


def test_the_topology_is_that_of_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "tom.yaml").write_text("{name: tom, swarm: research}")
    monkeypatch.setenv("RABBITMQ_URL", "amqp://localhost/my%2Fhouse")
    printed = json.loads(hutch("topology").stdout)
    queues = {queue["name"] for queue in printed["queues"]}
    assert {"agent.alice", "agent.bob", "agent.tom", "swarm.tom", "dead", "events"} <= queues
    assert {it["vhost"] for it in printed["bindings"]} == {"my/house"}
    names = [exchange["name"] for exchange in printed["exchanges"]]
    assert len(names) == len(set(names))


def test_control_codes_in_an_answer_are_not_printed() -> None:
    from services.cli.output import plain

    assert plain("\x1b[2Jsee [this]\n\tand\x07 that\x9b") == "[2Jsee [this]\n\tand that"


def test_each_user_gets_a_file_with_an_address_and_keeps_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RABBITMQ_URL", "amqps://me:mine@rabbit:5671/house?cafile=/tls/ca.pem")
    secrets = tmp_path / "secrets" / "broker"
    first = hutch("topology", "--users", str(secrets)).stdout
    file = secrets / "agent.bob"
    address = file.read_text().strip()
    assert re.fullmatch(
        r"amqps://agent\.bob:[\w-]{43}@rabbit:5671/house\?cafile=/tls/ca\.pem", address
    )
    assert file.stat().st_mode & 0o777 == 0o600
    assert {it.name for it in secrets.iterdir()} == {
        it["name"] for it in json.loads(first)["users"]
    }
    assert hutch("topology", "--users", str(secrets)).stdout == first
    assert file.read_text().strip() == address


def test_no_password_is_printed_only_its_hash_as_the_broker_reckons_it(
    folder: Path, tmp_path: Path
) -> None:
    said = hutch("topology", "--users", str(tmp_path / "users")).stdout
    password = urlsplit((tmp_path / "users" / "operator").read_text()).password or ""
    assert password
    assert password not in said
    [hashed] = [it["password_hash"] for it in json.loads(said)["users"] if it["name"] == "operator"]
    salt, rest = b64decode(hashed)[:4], b64decode(hashed)[4:]
    assert rest == hashlib.sha256(salt + password.encode()).digest()


def test_without_a_folder_for_them_the_users_have_no_password(folder: Path) -> None:
    printed = json.loads(hutch("topology").stdout)
    assert {it["password_hash"] for it in printed["users"]} == {""}


def test_a_users_file_that_holds_something_else_is_left_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "users").mkdir()
    (tmp_path / "users" / "agent.alice").write_text("amqp://agent.bob:hush@rabbit:5672/")
    refused = hutch("topology", "--users", str(tmp_path / "users"))
    assert refused.exit_code == 2
    assert "agent.alice' holds no address with the user 'agent.alice'" in refused.stderr
    assert "hush" not in refused.output


def test_users_need_to_know_where_their_broker_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RABBITMQ_URL")
    refused = hutch("topology", "--users", str(tmp_path / "users"))
    assert (refused.exit_code, "RABBITMQ_URL" in refused.stderr) == (2, True)
