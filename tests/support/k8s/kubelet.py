"""The parts of a cluster that podman does not have, or does in another way.

`playable` changes only this of a manifest: a StatefulSet and a Job are played as a Deployment, as
podman knows neither; volumes are folders made here as a node makes them; probes are left out, since
podman needs curl in the image for them (`Probe` makes them as a node does); and so are ports, which
podman would open on this machine.
"""

from __future__ import annotations

import base64
import copy
import http.client
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.support.k8s.rendering import Manifest, Overlay

PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
DATA = "..data"
"""A node writes a new version into a folder of its own and turns this link to it."""


def playable(overlay: Overlay, name: str, folder: Path) -> Manifest:
    """The Deployment, StatefulSet or Job of that name, its volumes within the folder."""
    manifest = copy.deepcopy(overlay.of("Deployment", "StatefulSet", "Job")[name])
    manifest |= {"apiVersion": "apps/v1", "kind": "Deployment"}
    spec = manifest["spec"]
    pod = spec["template"]["spec"]
    claims = [it["metadata"] for it in spec.pop("volumeClaimTemplates", [])]
    group = pod["securityContext"].get("fsGroup")
    pod["volumes"] = [
        {"name": it["name"], "hostPath": {"path": str(_made(overlay, it, group, folder / name))}}
        for it in [*pod["volumes"], *claims]
    ]
    for container in pod["containers"]:
        for left_out in (*PROBES, "ports"):
            container.pop(left_out, None)
    return manifest


def _made(overlay: Overlay, volume: Manifest, group: int | None, folder: Path) -> Path:
    path = folder / str(volume["name"])
    path.mkdir(parents=True)
    files = dict(_files(overlay, volume))
    if files:
        write(path, files)
    else:  # an empty folder, or a new disk
        path.chmod(0o777)
    if group is not None:
        os.chown(path, 0, group)
        path.chmod(0o2777)
    return path


def _files(overlay: Overlay, volume: Manifest) -> Iterator[tuple[str, bytes]]:
    """The files of ConfigMaps and Secrets, by their path within the volume."""
    for source in volume.get("projected", {}).get("sources", [volume]):
        if "configMap" in source:
            of = source["configMap"]
            data = overlay.of("ConfigMap")[of["name"]]["data"]
            held = {key: text.encode() for key, text in data.items()}
        elif "secret" in source:
            of = source["secret"]
            data = overlay.of("Secret")[of.get("secretName") or of["name"]]["data"]
            held = {key: base64.b64decode(text) for key, text in data.items()}
        else:
            continue
        items = of.get("items") or [{"key": key, "path": key} for key in held]
        for item in items:
            yield item["path"], held[item["key"]]


def write(path: Path, files: dict[str, bytes]) -> None:
    """A version of a ConfigMap or Secret, in place of the one before at a single moment."""
    version = path / f"..{len(list(path.iterdir()))}"
    for name, content in files.items():
        file = version / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        link = path / Path(name).parts[0]
        if not link.is_symlink():
            link.symlink_to(Path(DATA) / link.name)
    turned = path / "..turned"
    turned.symlink_to(version.name)
    turned.rename(path / DATA)


def names(overlay: Overlay, pod: str) -> list[str]:
    """The Services that lead to this pod; their ports are the pods' own."""
    labels = overlay.pods()[pod]["metadata"]["labels"]
    services = overlay.of("Service").items()
    return [name for name, it in services if it["spec"]["selector"].items() <= labels.items()]


@dataclass(frozen=True)
class Probe:
    manifest: Manifest
    address: str
    ports: dict[str, int]

    def fault(self, inside: Callable[..., subprocess.CompletedProcess[str]]) -> str | None:
        """The failure of one attempt; None where it succeeds."""
        timeout_s = self.manifest.get("timeoutSeconds", 1)
        if "exec" in self.manifest:
            done = inside(*self.manifest["exec"]["command"])
            return f"{done.stdout}{done.stderr}" if done.returncode else None
        asked = self.manifest.get("httpGet") or self.manifest["tcpSocket"]
        port = self.ports[asked["port"]]
        try:
            if "tcpSocket" in self.manifest:
                socket.create_connection((self.address, port), timeout_s).close()
                return None
            with closing(
                http.client.HTTPConnection(self.address, port, timeout=timeout_s)
            ) as open_:
                open_.request("GET", asked["path"])
                reply = open_.getresponse()
                text = reply.read().decode()
        except OSError as error:
            return str(error)
        return None if 200 <= reply.status < 400 else text
