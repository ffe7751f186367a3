"""The installed rabbitmq-server as a private node with its own ports, data, cookie and epmd.

It listens on the loopback interface only, writes nothing outside its folder, and has no contact
with the system's service or another private node.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import time
from pathlib import Path
from shlex import quote
from typing import IO

from services.cli.machine.ports import answers, free_ports
from services.cli.machine.rabbitmq_package import DEBIAN, RabbitPackage
from shared.errors import BrokerError, BrokerUnavailable

START_TIMEOUT_S = 90.0
"""A cold start takes about 5 s on an idle machine."""
STOP_TIMEOUT_S = 30.0
CTL_TIMEOUT_S = 60.0
POLL_S = 0.1
NODE = "hutch@localhost"


class RabbitNode:
    """A broker whose data are in a folder; the next start in that folder reads them."""

    def __init__(self, folder: Path, package: RabbitPackage = DEBIAN) -> None:
        self._folder = folder.resolve()
        self._package = package
        self._server: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._port, self._epmd_port, distribution_port = free_ports(3)
        self.environment = self._variables(distribution_port)

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self._port}/"

    @property
    def ending(self) -> str:
        """The shell command that does the same as `stop`."""
        read = f"pid=$(cat {quote(str(self._pid_file))})"  # another one after `restart`
        gone = f"for i in $(seq {STOP_TIMEOUT_S:.0f}); do kill -0 $pid || break; sleep 1; done"
        return f"{read}; kill $pid; {gone}; ERL_EPMD_PORT={self._epmd_port} epmd -kill"

    @property
    def _pid_file(self) -> Path:
        return self._folder / "hutch.pid"

    @property
    def name(self) -> str:
        return f"the node in {self._folder}"

    @property
    def log(self) -> Path:
        return self._folder / "log" / f"{NODE}.log"

    def start(self) -> None:
        """Start the node and wait until it accepts connections.

        Raises `BrokerError`, which names the log.
        """
        server = self._package.script("rabbitmq-server")
        if server is None:
            raise BrokerError("rabbitmq-server is not installed: install it, or set RABBITMQ_URL")
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "enabled_plugins").write_text("[].\n")
        self._lock = self._locked()
        with (self._folder / "console.log").open("ab") as console:
            self._server = subprocess.Popen(
                [server],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,  # a Ctrl-C is for this process only
                pass_fds=[self._lock.fileno()],  # the lock lasts as long as the node
            )
        try:
            self._pid_file.write_text(str(self._server.pid))
            self._wait(self._server)
        except BaseException:
            self.stop()
            raise

    def stopped(self) -> bool:
        """Whether the node has ended by itself, or was ended by another process."""
        return self._server is None or self._server.poll() is not None

    def restart(self) -> None:
        """Start the ended node again, with its ports. Raises `BrokerError`."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """End the node and its epmd, if they are running."""
        if self._server is not None:
            self._server.terminate()
            try:
                self._server.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                os.killpg(self._server.pid, 9)
                self._server.wait()
            self._server = None
            self._stop_epmd()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def ctl(self, *arguments: str) -> str:
        """The output of `rabbitmqctl`; raises `BrokerError` with its error text."""
        script = self._package.script("rabbitmqctl") or "rabbitmqctl"
        command = [script, "--quiet", *arguments]
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=CTL_TIMEOUT_S
        )
        if done.returncode:
            complaint = (done.stderr or done.stdout).strip()
            raise BrokerError(f"rabbitmqctl {arguments[0]} failed: {complaint}")
        return done.stdout.strip()

    def _wait(self, server: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < until:
            if server.poll() is not None:
                raise BrokerUnavailable(f"rabbitmq-server ended at its start: see {self._folder}")
            if answers(self._port):
                return  # a node starts its listener last
            time.sleep(POLL_S)
        raise BrokerUnavailable(
            f"rabbitmq-server did not start within {START_TIMEOUT_S:.0f} s: see {self.log}"
        )

    def _stop_epmd(self) -> None:
        """End epmd, with retries: it refuses until it has noticed that the node has ended."""
        epmd = shutil.which("epmd")
        until = time.monotonic() + STOP_TIMEOUT_S
        while epmd is not None and answers(self._epmd_port) and time.monotonic() < until:
            subprocess.run(
                [epmd, "-kill"],
                env=self.environment,
                capture_output=True,
                timeout=CTL_TIMEOUT_S,
            )
            time.sleep(POLL_S)

    def _locked(self) -> IO[str]:
        lock = (self._folder / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise BrokerError(
                f"another broker runs in '{self._folder}': stop it, or use another folder"
            ) from error
        return lock

    def _variables(self, distribution_port: int) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("RABBITMQ_") and name != "NOTIFY_SOCKET"
        }
        folder = self._folder
        return kept | {
            "HOME": str(folder),  # where Erlang keeps its cookie
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": NODE,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_SCHEMA_DIR": str(folder / "schema"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "config"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        }
