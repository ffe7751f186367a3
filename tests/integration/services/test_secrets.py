"""Secrets planted wherever Hutch takes them: changed without a restart, and in no output."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from sqlalchemy.engine import make_url

from tests.support.brokers.rabbitmq import Rabbit
from tests.support.client import PATIENCE_S, Client, client
from tests.support.processes.running import Child, System
from tests.support.stores.postgresql import Postgres

pytestmark = pytest.mark.parametrize("server", ["rabbitmq-3.10"], indirect=True)

BROKER, STORE = "planted-broker-pw", "planted-store-pw"
KEY, ALICES_KEY, NEW = "planted-key-of-the-system", "planted-key-of-alice", "planted-new-pw"
PLANTED = "planted-"
HIDDEN = f"amqp://planted:{BROKER}@"

ALICE = """
name: alice
model: {{name: hers, base_url: "{url}/v1", api_key_env: ALICES_KEY}}
"""
AGENTS = 2
BOB = "name: bob\ndescription: Writes.\n"


@contextmanager
def repeating_endpoint() -> Iterator[tuple[str, list[str]]]:
    """An endpoint that refuses every key and repeats it; the keys that it has received."""
    received: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            received.append(str(self.headers["Authorization"]))
            answers = json.dumps({"error": {"message": f"no such key: {received[-1]}"}}).encode()
            self.send_response(401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answers)))
            self.end_headers()
            self.wfile.write(answers)

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", received
        finally:
            server.shutdown()
            serving.join()


@pytest.fixture
def planted(
    system: System, rabbit: Rabbit, postgresql: Postgres, postgresql_url: str, tmp_path: Path
) -> Iterator[System]:
    """Users of the test's own at broker and store; their URLs and a key are in files."""
    database = postgresql_url.rpartition("/")[2]
    user = f"gardener_{database}"
    rabbit.ctl("add_user", user, BROKER)
    rabbit.ctl("set_permissions", "-p", rabbit.vhost, user, ".*", ".*", ".*")
    postgresql.sql(f"CREATE ROLE {user} LOGIN PASSWORD '{STORE}'")
    postgresql.sql(f"ALTER DATABASE {database} OWNER TO {user}")
    files = {
        "RABBITMQ_URL": rabbit.url.replace("guest:guest", f"{user}:{BROKER}"),
        "HUTCH_STORE": f"postgresql://{user}:{STORE}@{postgresql.address}/{database}",
        "OPENAI_API_KEY": KEY,
    }
    for name, secret in files.items():
        (tmp_path / name).write_text(f"{secret}\n")
        system.env |= {name: "", f"{name}_FILE": str(tmp_path / name)}
    migrated = system.hutch("migrate")
    assert migrated.returncode == 0, migrated.stderr
    try:
        yield system
    finally:
        for child in system.children:
            child.kill()
        rabbit.ctl("delete_user", user)


def user_of(system: System) -> str:
    return str(make_url(Path(system.env["HUTCH_STORE_FILE"]).read_text().strip()).username)


def cut_off(rabbit: Rabbit, user: str) -> None:
    for connection in rabbit.ctl("list_connections", "user", "pid").splitlines():
        name, pid = connection.split()
        if name == user:
            rabbit.ctl("close_connection", pid, "a test closes it")


def changed(tmp_path: Path, name: str, old: str) -> None:
    file = tmp_path / name
    file.write_text(file.read_text().replace(old, NEW))


@pytest.mark.essential
def test_changed_passwords_need_no_restart(
    planted: System, rabbit: Rabbit, postgresql: Postgres, pika: Client, tmp_path: Path
) -> None:
    """First broker and store know the new ones, then the files: as long as that lasts, it waits."""
    [bob] = planted.agents("bob")
    user = user_of(planted)
    rabbit.ctl("change_password", user, NEW)
    postgresql.sql(f"ALTER ROLE {user} PASSWORD '{NEW}'")
    cut_off(rabbit, user)
    postgresql.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename='{user}'")
    bob.wait_for(f"refused the user '{user}'")
    bob.wait_for("store unavailable.*password authentication failed")
    changed(tmp_path, "RABBITMQ_URL", BROKER)
    changed(tmp_path, "HUTCH_STORE", STORE)
    assert pika.ask("bob", "Write.").status == "ok"
    assert PLANTED not in bob.output


def test_no_output_contains_a_secret(
    planted: System,
    rabbit: Rabbit,
    postgresql: Postgres,
    pika: Client,
    agents: Path,
    tmp_path: Path,
) -> None:
    """After runs that went well and ill, a lost broker, a lost store, and starts that failed."""
    with repeating_endpoint() as (url, keys):
        (agents / "alice.yaml").write_text(ALICE.format(url=url))
        (agents / "bob.yaml").write_text(BOB)
        planted.env |= {"HUTCH_AGENTS": str(agents), "ALICES_KEY": ALICES_KEY, "HUTCH_DEBUG": "1"}
        up = planted.start("services.cli", "up")
        for name in ("alice", "bob"):
            up.wait_for(f"{name}.*consuming")
        answers = [pika.ask("bob", "Write.").body, pika.ask("alice", "Write.").body]
        assert [body["status"] for body in answers] == ["ok", "failed"]
        assert f"Bearer {ALICES_KEY}" in keys
        pika.send("bob", b"{")
        commands = commands_of_all(up)
        connected = rabbit.ctl("list_connections", "name", "user", "client_properties")
        lose_both(planted, rabbit, postgresql, up)
        assert pika.ask("bob", "Write again.").status == "ok"
        assert up.end() == 0
        outputs = [
            json.dumps(answers),
            commands,
            connected,
            *spoken(planted),
            *failed_starts(planted, tmp_path),
            stream(rabbit),
            dumped(planted, postgresql),
            up.output,
        ]
    for needed in (
        "store unavailable",
        "run.ended",
        "no such key",
        "services.agent",
        "INSERT INTO",
    ):
        assert any(needed in output for output in outputs), needed
    for output in outputs:
        assert PLANTED not in output, output[output.index(PLANTED) - 200 :][:400]


def commands_of_all(up: Child) -> str:
    """The system's processes as `ps` shows them."""
    own = psutil.Process(up.process.pid)
    return "\n".join(str(one.cmdline()) for one in (own, *own.children(recursive=True)))


def lose_both(system: System, rabbit: Rabbit, postgresql: Postgres, up: Child) -> None:
    database = system.env["HUTCH_STORE_FILE"]
    with postgresql.away(Path(database).read_text().strip()):
        cut_off(rabbit, user_of(system))
        up.wait_for("store unavailable")


def spoken(system: System) -> list[str]:
    """The output of many commands; no agent runs, so that `ask` ends without an answer."""
    commands = ["status", "runs", "check", "topology", "dead list", "show none"]
    commands.append("ask --timeout 1s nobody Hello")
    done = [system.hutch("--debug", *command.split()) for command in commands]
    return [one.stdout + one.stderr for one in done]


def failed_starts(system: System, tmp_path: Path) -> list[str]:
    """Starts with each setting wrong in some way, with the trace that HUTCH_DEBUG shows."""
    wrong = {
        "RABBITMQ_URL": [
            Path(system.env["RABBITMQ_URL_FILE"]).read_text().strip() + "-elsewhere",
            f"{HIDDEN}[/",
            f"{HIDDEN}h:{PLANTED}/",
            f"http://planted:{BROKER}@h/",
        ],
        "HUTCH_STORE": [
            Path(system.env["HUTCH_STORE_FILE"])
            .read_text()
            .strip()
            .replace("gardener_", "nobody_"),
            f"postgresql://planted:{STORE}@h:{PLANTED}/db",
            f"mysql://planted:{STORE}@h/db",
        ],
        "OPENAI_API_KEY": [f"{KEY} with a space"],
    }
    said = []
    for name, values in wrong.items():
        for number, value in enumerate(values):
            (tmp_path / "wrong").write_text(value)
            file = {f"{name}_FILE": f"{tmp_path}/wrong"}
            env = file if number % 2 else {name: value, f"{name}_FILE": ""}
            ended = system.start("services.agent", "bob", **env)
            assert ended.ended(), value
            said.append(ended.output)
    return said


def stream(rabbit: Rabbit) -> str:
    """The events, up to the end of the last process."""
    found = ""
    with client(rabbit.url) as reader:
        reader.channel.basic_qos(prefetch_count=100)
        asked = {"x-stream-offset": "first"}
        for method, _, body in reader.channel.consume(
            "events", arguments=asked, inactivity_timeout=PATIENCE_S
        ):
            assert method is not None, found
            assert body is not None
            reader.channel.basic_ack(method.delivery_tag or 0)
            found += f"{body.decode()}\n"
            if found.count("instance.ended") == AGENTS:
                return found
    raise AssertionError("the consumer was cancelled")


def dumped(system: System, postgresql: Postgres) -> str:
    """Every row of the store."""
    database = Path(system.env["HUTCH_STORE_FILE"]).read_text().strip().rpartition("/")[2]
    command = ["pg_dump", "-U", "hutch", "--data-only", "--column-inserts", database]
    done = postgresql.container.exec(command)
    assert done.exit_code == 0
    return str(done.output.decode())
