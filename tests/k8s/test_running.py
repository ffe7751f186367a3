"""The pods of the local overlay, played by podman from its manifests, until Alice answers.

What is changed of the manifests on the way: see `kubelet` and docs/kubernetes.md.
"""

from __future__ import annotations

import base64
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

import pytest

from tests.support.k8s import kubelet
from tests.support.k8s.podman import Podman, build, podman, renumbered
from tests.support.k8s.rendering import Manifest, Overlay
from tests.support.machine import need

FIRST = ("postgres", "rabbitmq", "migrate", "scripted")
"""Played before those that wait for them, which spares these their restarts."""
START_S = 180
VOLUMES = "volumes"
POLL_S = 0.3
FILTERED = "2"
"""System calls are, by the runtime's own list."""
QUESTION = "Ask Bob for an email about the party."


@dataclass(frozen=True)
class Pods:
    podman: Podman
    overlay: Overlay
    _addresses: dict[str, str] = field(default_factory=dict)

    def container(self, name: str) -> str:
        """The container's name in podman."""
        return f"{name}-pod-0-{self.overlay.pods()[name]['spec']['containers'][0]['name']}"

    def run(self, name: str, *command: str) -> subprocess.CompletedProcess[str]:
        return self.podman.tried("exec", self.container(name), *command)

    def probe(self, name: str, which: str) -> str | None:
        """The failure of the manifest's own probe, if any."""
        (container,) = self.overlay.pods()[name]["spec"]["containers"]
        ports = {it["name"]: it["containerPort"] for it in container["ports"]}
        if name not in self._addresses:
            self._addresses[name] = self.podman.address(self.container(name))
        probe = kubelet.Probe(container[which], self._addresses[name], ports)
        return probe.fault(lambda *command: self.run(name, *command))

    def staying(self) -> list[str]:
        return [name for name in self.overlay.pods() if name not in self.overlay.of("Job")]

    def state(self, name: str) -> Manifest:
        found: Manifest = self.podman.inspected(self.container(name))["State"]
        return found

    def done(self, name: str) -> str | None:
        state = self.state(name)
        return None if (state["Status"], state["ExitCode"]) == ("exited", 0) else str(state)

    def wait(self, name: str, fault: Callable[[], str | None]) -> None:
        end = time.monotonic() + START_S
        while found := fault():
            if time.monotonic() > end:
                log = self.podman.tried("logs", "--tail=30", self.container(name))
                pytest.fail(f"{name}, after {START_S} s: {found}\n{log.stdout}{log.stderr}")
            time.sleep(POLL_S)


@pytest.fixture(scope="module")
def pods(local: Overlay) -> Iterator[Pods]:
    need("podman")
    with podman() as it:
        it.load(_images(local))
        for secret in local.of("Secret").values():
            it.secret(secret)
        found = Pods(it, local)
        manifests = {
            name: kubelet.playable(local, name, it.folder / VOLUMES) for name in local.pods()
        }
        for name in FIRST:
            it.play([manifests.pop(name)], kubelet.names(local, name))
        found.wait("migrate", partial(found.done, "migrate"))
        it.play(manifests.values())
        yield found


@pytest.fixture(scope="module")
def ready(pods: Pods) -> Pods:
    for name in pods.staying():
        for which in kubelet.PROBES:
            pods.wait(name, partial(pods.probe, name, which))
    return pods


def _images(local: Overlay) -> dict[str, str]:
    """Each image's name in docker, by its name in the manifests."""
    found: dict[str, str] = {}
    for name, container in local.containers():
        image = container["image"]
        if image.startswith("hutch:"):
            if image not in found:
                found[image] = build(image)
        else:
            context = local.pods()[name]["spec"]["securityContext"]
            found[image] = renumbered(image, context["runAsUser"], context["runAsGroup"])
    return found


def test_every_pod_becomes_ready_by_its_own_probes(ready: Pods) -> None:
    assert set(ready.staying()) == {*ready.overlay.of("Deployment", "StatefulSet")}


def test_alice_answers(ready: Pods) -> None:
    done = ready.run("alice", "hutch", "ask", "alice", QUESTION)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Subject:" in done.stdout


def test_agents_and_tools_are_read_from_where_they_are_mounted(ready: Pods) -> None:
    done = ready.run("editor", "hutch", "check")
    assert done.returncode == 0, done.stderr
    assert "/app/agents: no fault" in done.stdout


def test_every_pod_is_confined_as_its_manifest_says(ready: Pods) -> None:
    for name in ready.staying():
        context: Manifest = ready.overlay.pods()[name]["spec"]["securityContext"]
        done = ready.run(name, "sh", "-c", "cat /proc/1/status; touch /seal")
        assert "Read-only file system" in done.stderr, name
        lines = (line.partition(":") for line in done.stdout.splitlines())
        status = {key: set(value.split()) for key, _, value in lines}
        assert status["Uid"] == {str(context["runAsUser"])}, name
        assert status["Gid"] == {str(context["runAsGroup"])}, name
        held = (status[f"Cap{kind}"] for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb"))
        assert set().union(*held) == {"0" * 16}, name
        assert (status["NoNewPrivs"], status["Seccomp"]) == ({"1"}, {FILTERED}), name


def test_a_new_password_of_the_broker_takes_effect_without_a_restart(ready: Pods) -> None:
    def started() -> list[str]:
        return [ready.state(name)["StartedAt"] for name in ready.staying()]

    before = started()
    url = base64.b64decode(ready.overlay.of("Secret")["broker"]["data"]["url"]).decode()
    held = {"url": url.replace("local-only", "another").encode()}
    rabbitmqctl = partial(ready.run, "rabbitmq", "rabbitmqctl")
    assert rabbitmqctl("change_password", "hutch", "another").returncode == 0
    for name, pod in ready.overlay.pods().items():
        if any(it["name"] == "broker" for it in pod["spec"]["volumes"]):
            kubelet.write(ready.podman.folder / VOLUMES / name / "broker", held)
    assert rabbitmqctl("close_all_connections", "a new password").returncode == 0
    done = ready.run("alice", "hutch", "ask", "alice", QUESTION)
    assert "Subject:" in done.stdout, done.stdout + done.stderr
    assert started() == before
