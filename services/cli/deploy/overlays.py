"""Hutch's `k8s/base` and `k8s/overlays`, written for the agents of any folder.

What depends on the agents is generated; everything else is copied from Hutch's own files.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from services.cli.deploy.manifests import agent_files, manifest, tool_files
from shared.definitions.model import Definitions
from shared.errors import HutchError, SettingsError

SOURCES = [Path(__file__).parents[3] / name for name in ("k8s", "hutch_k8s")]
"""Hutch's own files in a clone, and in an installed package."""
PARTS = ("base", "overlays")

KUSTOMIZATION = """\
# The agents as ConfigMaps. `hutch k8s` adds a line here for each new file in this folder, and for a
# tool's file also one in k8s/base/agents.yaml; `hutch check` names what is missing. The ConfigMaps'
# names end in a hash of their content, so applying a changed agent replaces its processes.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
configMapGenerator:
"""
SCALED = """\
---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: NAME, labels: {app.kubernetes.io/component: agent}}
spec:
  scaleTargetRef: {name: NAME}
  triggers:
    - {type: rabbitmq, metadata: {queueName: agent.NAME}}
    - type: prometheus
      metadata:
        query: >-
          sum(hutch_runs{process="NAME",state="running"})
          + max(hutch_runs{process="NAME",state="due"})
"""


def write(folder: Path, agents: Definitions) -> Path:
    """Write `Kustomization` into the agents' folder, and `k8s/base` and `k8s/overlays` beside it.

    Existing files are overwritten. Returns the folder `k8s`. If an agent has the name of a shared
    file, or this installation has no manifests, raises `SettingsError` and writes nothing.
    """
    target = folder.resolve().parent / "k8s"
    files = dict(_files(folder.resolve(), target, agents))
    try:
        for path, text in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    except OSError as error:
        raise HutchError(f"can't write '{error.filename}': {error.strerror}") from error
    return target


def _files(folder: Path, target: Path, agents: Definitions) -> Iterator[tuple[Path, str]]:
    source = next((it for it in SOURCES if it.is_dir()), None)
    if source is None:
        raise SettingsError("this installation has no manifests: install Hutch from its folder")
    shared = dict(_shared(source))
    for path, text in shared.items():
        yield target / path, _for_agents(path, text, sorted(agents), folder)
    for name in agents:
        path = Path("base", f"{name}.yaml")
        if path in shared:
            raise SettingsError(
                f"in Kubernetes no agent may be called '{name}': Hutch has a {path}"
            )
        yield target / path, manifest(name)
    yield folder / "Kustomization", _kustomization(folder)


def _shared(source: Path) -> Iterator[tuple[Path, str]]:
    """All files but the manifests of Hutch's own agents."""
    for part in PARTS:
        for file in sorted((source / part).rglob("*.yaml")):
            text = file.read_text("utf-8")
            if text != manifest(file.stem):
                yield file.relative_to(source), text


def _for_agents(path: Path, text: str, names: list[str], folder: Path) -> str:
    match path.parts:
        case ("base", "kustomization.yaml"):
            text = text.replace("../../agents\n", f"../../{folder.name}\n")
            return _with_items(text, "  - scheduler.yaml", "  - ", [f"{it}.yaml" for it in names])
        case (*_, "agents.yaml"):  # also that of the overlay `small`
            tools = [it.name for it in tool_files(folder)]
            mounted = [f"{{key: {it}, path: tools/{it}}}" for it in tools]
            return _with_items(text, "                  items:", 20 * " " + "- ", mounted)
        case (*_, "scaling.yaml"):
            kept = text[: text.index(SCALED.partition("metadata:")[0])]
            return kept + "".join(SCALED.replace("NAME", name) for name in names)
        case _:
            return text


def _kustomization(folder: Path) -> str:
    generators: dict[str, list[str]] = {"agents": [], "tools": []}
    for it in agent_files(folder):
        generators["tools" if it.parent != folder else "agents"].append(str(it.relative_to(folder)))
    text = KUSTOMIZATION
    for name, files in generators.items():
        text += f"  - name: {name}\n" + _items("    files:", "      - ", files)
    return text


def _with_items(text: str, key: str, bullet: str, items: list[str]) -> str:
    """The text with these items in place of those under the key."""
    replaced, number = re.subn(
        rf"^{key}( \[\])?\n({bullet}.*\n)*", lambda _: _items(key, bullet, items), text, flags=re.M
    )
    assert number == 1
    return replaced


def _items(key: str, bullet: str, items: list[str]) -> str:
    """A YAML list. An empty one is written as such, since kustomize turns `null` into a string."""
    return f"{key}{'' if items else ' []'}\n" + "".join(f"{bullet}{it}\n" for it in items)
