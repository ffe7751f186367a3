"""The overlays as kubectl renders them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.repository import REPOSITORY

TOOLS = REPOSITORY / ".venv-k8s" / "bin"
LOCAL, PRODUCTION = OVERLAYS = ("local", "production")
SMALL = "small"

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Overlay:
    name: str
    file: Path
    objects: list[Manifest]

    def of(self, *kinds: str) -> dict[str, Manifest]:
        """The objects of these kinds by name."""
        return {it["metadata"]["name"]: it for it in self.objects if it["kind"] in kinds}

    def pods(self) -> dict[str, Manifest]:
        """The pods' templates by name of Deployment, StatefulSet or Job."""
        found = self.of("Deployment", "StatefulSet", "Job")
        return {name: it["spec"]["template"] for name, it in found.items()}

    def containers(self) -> Iterator[tuple[str, Manifest]]:
        for name, pod in self.pods().items():
            for container in pod["spec"]["containers"]:
                yield name, container


def tool(name: str) -> Path:
    path = TOOLS / name
    if not path.exists():
        pytest.fail(f"{name} is not installed: run 'make k8s-check'")
    return path


def render(name: str, into: Path) -> Overlay:
    return rendered(name, REPOSITORY / "k8s" / "overlays" / name, into)


def rendered(name: str, source: Path, into: Path) -> Overlay:
    done = subprocess.run(
        [tool("kubectl"), "kustomize", source], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr  # a warning: kustomize says so what will go away
    file = into / f"{name}.yaml"
    file.write_text(done.stdout, "utf-8")
    return Overlay(name, file, list(yaml.safe_load_all(done.stdout)))
