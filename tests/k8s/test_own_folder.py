"""The overlay of a folder that `hutch init` has made, on the manifests that `hutch k8s` writes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.k8s.rendering import PRODUCTION, SMALL, Overlay, rendered
from tests.support.repository import REPOSITORY


def test_an_own_folder_has_the_objects_of_ours_with_its_image_and_agents(
    tmp_path: Path, production: Overlay
) -> None:
    folder = tmp_path / "shop"
    hutch(tmp_path, "init", "shop")
    (folder / "agents/tools/dates.py").unlink()
    (folder / "agents/bob.yaml").write_text("{name: bob, description: Writes emails.}", "utf-8")
    hutch(folder, "k8s")
    own = rendered(PRODUCTION, folder / "k8s", tmp_path)
    images = {it["image"] for _, it in own.containers()}
    assert images == {"registry.example.com/shop-agents:1"}
    assert set(own.pods()) == {"alice", "bob", "scheduler", "gateway", "operator", "migrate"}
    assert {it["kind"] for it in own.objects} == {it["kind"] for it in production.objects}
    [agents, tools] = next(
        it["projected"]["sources"]
        for it in own.pods()["bob"]["spec"]["volumes"]
        if it["name"] == "agents"
    )
    mapped = own.of("ConfigMap")[agents["configMap"]["name"]]["data"]
    assert set(mapped) == {"alice.yaml", "bob.yaml"}
    assert tools["configMap"]["items"] == []
    small = rendered(SMALL, folder / "k8s/overlays/small", tmp_path)
    assert set(small.pods()) == {"agents", "postgres", "rabbitmq", "scripted"}


def hutch(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "services.cli", *arguments]
    environment = {"PATH": "", "PYTHONPATH": str(REPOSITORY)}
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
