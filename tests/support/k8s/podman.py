"""Podman with a store and a network of its own, which plays manifests as pods of this machine."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.support.k8s.rendering import Manifest
from tests.support.repository import REPOSITORY

NETWORK = "hutch"
COMMAND_S = 120
BUILD_S = 600

# Podman asks for higher limits of open files than a machine may give that is a container itself.
RUNTIME = f"""\
#!{sys.executable} -IS
import json, os, sys
given = sys.argv[1:]
for flag, path in zip(given, given[1:]):
    if flag in ("--bundle", "--process"):
        file = os.path.join(path, "config.json") if flag == "--bundle" else path
        with open(file) as opened:
            held = json.load(opened)
        held.get("process", held).pop("rlimits", None)
        with open(file, "w") as opened:
            json.dump(held, opened)
os.execvp("runc", ["runc", *given])
"""

# The public image's user has this number. An image of the same name made from a distribution's
# packages may have another; then its user is renumbered, so that the manifest can stay.
NUMBERED = """\
FROM {image}
RUN getent passwd {uid} >/dev/null || \\
 {{ groupmod --gid {gid} {user} && usermod --uid {uid} --gid {gid} {user}; }}
"""


@dataclass(frozen=True)
class Podman:
    folder: Path

    def __call__(
        self, *arguments: str, given: str | None = None, timeout_s: float = COMMAND_S
    ) -> str:
        """What the command says; its whole output where it fails."""
        done = self.tried(*arguments, given=given, timeout_s=timeout_s)
        assert done.returncode == 0, f"podman {' '.join(arguments)}\n{done.stdout}{done.stderr}"
        return done.stdout

    def tried(
        self, *arguments: str, given: str | None = None, timeout_s: float = COMMAND_S
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._command(), *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def _command(self) -> list[str]:
        places = {"root": "images", "runroot": "run", "network-config-dir": "networks"}
        return [
            "podman",
            f"--runtime={self.folder / 'runtime'}",
            "--cgroup-manager=cgroupfs",
            "--events-backend=none",
            *(f"--{option}={self.folder / name}" for option, name in places.items()),
        ]

    def load(self, images: dict[str, str]) -> None:
        """From docker's store: what docker calls each, by what it is to be called here."""
        with subprocess.Popen(
            ["docker", "save", *images.values()], stdout=subprocess.PIPE
        ) as saved:
            loaded = subprocess.run(
                [*self._command(), "load", "--quiet"],
                stdin=saved.stdout,
                capture_output=True,
                text=True,
                timeout=BUILD_S,
                check=False,
            )
        assert saved.returncode == loaded.returncode == 0, loaded.stdout + loaded.stderr
        for name, image in images.items():
            self("tag", image, name)

    def play(self, manifests: Iterable[Manifest], names: Iterable[str] = ()) -> None:
        """Each Deployment becomes one pod; `names` are its names for the other pods."""
        aliases = ",".join(f"alias={name}" for name in names)
        network = f"{NETWORK}:{aliases}" if aliases else NETWORK
        text = yaml.safe_dump_all(manifests)
        said = self("kube", "play", f"--network={network}", "-", given=text)
        assert "error" not in said, said  # it ends with 0 where a container doesn't start

    def secret(self, manifest: Manifest) -> None:
        held = json.dumps(manifest["data"])
        self("secret", "create", manifest["metadata"]["name"], "-", given=held)

    def inspected(self, container: str) -> Manifest:
        (found,) = json.loads(self("inspect", container))
        result: Manifest = found
        return result

    def address(self, container: str) -> str:
        found: str = self.inspected(container)["NetworkSettings"]["Networks"][NETWORK]["IPAddress"]
        return found


@contextmanager
def podman() -> Iterator[Podman]:
    """All that it holds is gone at the end."""
    with tempfile.TemporaryDirectory(prefix="hutch-podman-") as folder:
        it = Podman(Path(folder))
        runtime = it.folder / "runtime"
        runtime.write_text(RUNTIME, "utf-8")
        runtime.chmod(0o755)
        it("network", "create", NETWORK)
        try:
            yield it
        finally:
            it("pod", "rm", "--all", "--force", "--time=0")
            it("network", "rm", "--force", NETWORK)
            # What it has mounted on its own store keeps the folder from being deleted.
            subprocess.run(["umount", it.folder / "images" / "overlay"], capture_output=True)


def build(image: str) -> str:
    """Ours, built as the compose file builds it; what docker calls it."""
    settings = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
    given = [part for name in settings for part in ("--build-arg", name)]
    return _built(image, *given, str(REPOSITORY))


def renumbered(image: str, uid: int, gid: int) -> str:
    """One whose user has these numbers; what docker calls it."""
    user = image.partition(":")[0]
    return _built(image, "-", given=NUMBERED.format(image=image, user=user, uid=uid, gid=gid))


def _built(image: str, *arguments: str, given: str | None = None) -> str:
    tag = f"localhost/k8s-check/{image}"
    done = subprocess.run(
        ["docker", "build", "--quiet", "--tag", tag, *arguments],
        input=given,
        capture_output=True,
        text=True,
        timeout=BUILD_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return tag
