"""The agents in Kubernetes: a manifest for each, and the differences of `k8s/base` and `agents/`.

`k8s/base/kustomization.yaml` adds what all agents share.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from shared.contract.topology import GATEWAY, SCHEDULER
from shared.definitions.loader import texts
from shared.definitions.model import Definitions
from shared.errors import SettingsError

AGENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: &labels {{app.kubernetes.io/name: {name}, app.kubernetes.io/component: agent}}
spec:
  selector: {{matchLabels: *labels}}
  template:
    metadata: {{labels: *labels}}
    spec:
      containers:
        - {{name: hutch, image: hutch, args: [python, -m, services.agent, {name}]}}
      volumes: [{{name: broker, secret: {{secretName: broker-{name}}}}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: {name}}}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector: {{matchLabels: {{app.kubernetes.io/name: {name}}}}}
"""


class _Metadata(TypedDict, total=False):
    name: str
    labels: dict[str, str]


class _Generator(TypedDict, total=False):
    files: list[str]


class _Manifest(TypedDict, total=False):
    """The fields that are read in a manifest or a kustomization."""

    kind: str
    metadata: _Metadata
    resources: list[str]
    configMapGenerator: list[_Generator]


_MANIFESTS = TypeAdapter(list[_Manifest])


def manifest(agent: str) -> str:
    """The text of `k8s/base/<agent>.yaml`."""
    return AGENT.format(name=agent)


def disagreements(folder: Path, agents: Definitions) -> list[str]:
    """A line for each difference; none if there is no `k8s/base` beside the agents' folder."""
    base = folder.resolve().parent / "k8s" / "base"
    if not base.is_dir():
        return []
    return [*_deployments(base, agents), *_files(folder), *_unmounted(folder, base)]


def _deployments(base: Path, agents: Definitions) -> Iterator[str]:
    listed = [
        one for part in _read(base / "kustomization.yaml") for one in part.get("resources", [])
    ]
    files = [base / name for name in listed if name.endswith(".yaml")]
    deployed = {name for file in files for name in _deployed(file, "agent")}
    for name in sorted(set(agents) - deployed):
        file = base / f"{name}.yaml"
        if file.is_file():
            yield f"{base / 'kustomization.yaml'}: resources: add {file.name}"
        else:
            yield f"{file}: missing; run 'hutch k8s'"
    for name in sorted(deployed - set(agents)):
        yield f"{base}: a Deployment for '{name}', which is no agent here"
    for file in files:
        yield from _wrong_secrets(file)


def _deployed(file: Path, *components: str) -> Iterator[str]:
    for part in _read(file):
        about = part.get("metadata", {})
        if part.get("kind") == "Deployment" and (
            about.get("labels", {}).get("app.kubernetes.io/component") in components
        ):
            yield about["name"]


def _wrong_secrets(file: Path) -> Iterator[str]:
    """A line for each process that would log in to the broker as another user, or as none."""
    for name in _deployed(file, "agent", SCHEDULER, GATEWAY):
        found = re.findall(r"secretName: (broker-[a-z0-9-]+)", _text(file))
        if found != [f"broker-{name}"]:
            named = ", ".join(found) or "nothing"
            yield f"{file}: the volume 'broker' names {named} instead of the Secret broker-{name}"


def _files(folder: Path) -> Iterator[str]:
    kustomization = folder / "Kustomization"
    there = {str(file.relative_to(folder)) for file in agent_files(folder)}
    listed = {
        name
        for part in _read(kustomization)
        for generator in part.get("configMapGenerator", [])
        for name in generator.get("files", [])
    }
    for name in sorted(there - listed):
        yield f"{kustomization}: configMapGenerator: add {name}"
    for name in sorted(listed - there):
        yield f"{kustomization}: configMapGenerator: there is no {name}"


def _unmounted(folder: Path, base: Path) -> Iterator[str]:
    """A line for each tool's file without a mount. A ConfigMap has no folders, so each file is
    mounted by its path."""
    patch = base / "agents.yaml"
    text = _text(patch) if patch.is_file() else ""
    for file in tool_files(folder):
        if f"path: tools/{file.name}" not in text:
            yield f"{patch}: volumes: mount tools/{file.name}"


def agent_files(folder: Path) -> list[Path]:
    """The files of the ConfigMaps: the agents, the schemas of their outputs, and the tools."""
    return [*texts(folder), *_visible(folder, "*.json"), *tool_files(folder)]


def tool_files(folder: Path) -> list[Path]:
    return _visible(folder, "tools/*.py")


def _visible(folder: Path, pattern: str) -> list[Path]:
    return sorted(it for it in folder.glob(pattern) if not it.name.startswith("."))


def _read(file: Path) -> list[_Manifest]:
    """The manifests in a file; raises `SettingsError` if it is missing, no YAML or no manifest."""
    try:
        parts = [part for part in yaml.safe_load_all(_text(file)) if part]
        return _MANIFESTS.validate_python(parts)
    except (yaml.YAMLError, ValidationError) as error:
        reason = getattr(error, "problem", None) or "it is no manifest"
        raise SettingsError(f"{file}: {reason}") from error


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise SettingsError(f"{file}: {reason}") from error
