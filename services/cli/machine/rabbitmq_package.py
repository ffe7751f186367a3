"""The distribution's rabbitmq-server: found on this machine, or installed by apt-get."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from shared.errors import BrokerError

INSTALL_TIMEOUT_S = 600.0
INSTALL = ["install", "-q", "-y", "--no-install-recommends", "rabbitmq-server"]


@dataclass(frozen=True)
class RabbitPackage:
    scripts: Path = Path("/usr/lib/rabbitmq/bin")
    """Debian's scripts; those on the PATH are wrappers that only the system's user may run."""
    policy: Path = Path("/usr/sbin/policy-rc.d")
    """Each package runs it before it starts its service; exit code 101 forbids the start."""

    def script(self, name: str) -> str | None:
        """The path of one of RabbitMQ's scripts; None if it is not installed."""
        path = self.scripts / name
        return str(path) if path.exists() else shutil.which(name)

    @property
    def installed(self) -> bool:
        return self.script("rabbitmq-server") is not None

    @property
    def installable(self) -> bool:
        """Whether the package can be installed here: on Debian or Ubuntu, as root."""
        return os.geteuid() == 0 and shutil.which("apt-get") is not None

    def install(self) -> None:
        """Install the package and keep its system service from starting. Raises `BrokerError`."""
        denying = not self.policy.exists()
        if denying:
            self.policy.write_text("#!/bin/sh\nexit 101\n")
            self.policy.chmod(0o755)
        try:
            _apt_get("update", "-q")
            _apt_get(*INSTALL)
        finally:
            if denying:
                self.policy.unlink()


DEBIAN = RabbitPackage()


def _apt_get(*arguments: str) -> None:
    done = subprocess.run(
        ["apt-get", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no reason given"]
        raise BrokerError(f"apt-get could not install rabbitmq-server: {lines[-1]}")
