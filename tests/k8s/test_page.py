"""docs/kubernetes.md names only what is there."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.support.k8s.rendering import TOOLS, Overlay
from tests.support.repository import REPOSITORY

MARKED = "{ echo ---; cat; }"
TEXT = (REPOSITORY / "docs" / "kubernetes.md").read_text("utf-8")


def test_every_file_that_the_page_names_is_there_or_is_the_readers() -> None:
    named = set(re.findall(r"(?<![/\w])(?:k8s|agents)/[\w./-]+\w", TEXT))
    assert len(named) > 5
    missing = {name for name in named if not (REPOSITORY / name).exists()}
    assert missing == {"agents/carol.yaml", "k8s/kustomization.yaml"}


def test_every_object_of_the_first_commands_is_in_the_local_overlay(local: Overlay) -> None:
    first = TEXT.partition("## From an empty")[2].partition("## ")[0]
    assert set(re.findall(r"\bjob/(\w+)", first)) <= set(local.of("Job"))
    assert set(re.findall(r"\bdeploy/(\w+)", first)) <= set(local.of("Deployment"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """The content of the Secrets that the page's script makes, without a cluster."""
    (script,) = re.findall(r"^   ```sh\n(.*?)^   ```", TEXT, re.MULTILINE | re.DOTALL)
    programs = f"{Path(sys.executable).parent}:{TOOLS}:{os.environ['PATH']}"
    done = subprocess.run(
        [
            "bash",
            "-euo",
            "pipefail",
            "-c",
            script.replace("kubectl apply --server-side -f -", MARKED),
        ],
        cwd=tmp_path_factory.mktemp("users"),
        env=os.environ | {"PATH": programs, "HUTCH_AGENTS": str(REPOSITORY / "agents")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    secrets = [it for it in yaml.safe_load_all(done.stdout) if it]
    return {
        it["metadata"]["name"]: {
            key: base64.b64decode(text).decode() for key, text in it["data"].items()
        }
        for it in secrets
    }


def test_the_pages_script_gives_each_process_its_own_user(made: dict[str, dict[str, str]]) -> None:
    definitions = json.loads(made["rabbitmq-definitions"]["definitions.json"])
    known = {it["name"] for it in definitions["users"]}
    addresses = {name: it["url"] for name, it in made.items() if name.startswith("broker-")}
    assert len(addresses) == len(known) - 2  # the admin's and the client's stay outside
    for name, address in addresses.items():
        user = urlsplit(address).username or ""
        assert user in known
        assert user.removeprefix("agent.") == name.removeprefix("broker-")
        assert address == address.strip()  # KEDA takes it as it is
        assert address.endswith("@rabbitmq.hutch.svc:5671/?cafile=/tls/broker/ca.crt")


def test_every_secret_that_production_needs_is_named_or_made(
    production: Overlay, made: dict[str, dict[str, str]]
) -> None:
    needed: set[str] = set()
    for pod in production.pods().values():
        spec = pod["spec"]
        needed |= {it["secret"]["secretName"] for it in spec["volumes"] if "secret" in it}
        for container in spec["containers"]:
            needed |= {it["secretRef"]["name"] for it in container.get("envFrom", [])}
    made_by_operators = {"postgres-ca"}
    for name in needed - made_by_operators - set(made):
        assert f" {name} " in TEXT or f"`{name}`" in TEXT, name


def test_the_numbers_of_the_page_are_those_of_the_manifests(production: Overlay) -> None:
    for item in production.of("ScaledObject").values():
        spec = item["spec"]
        if spec["scaleTargetRef"]["name"] == "gateway":
            (streams,) = spec["triggers"]
            assert f"every {streams['metadata']['threshold']} open streams" in TEXT
            continue
        mailbox, runs = (trigger["metadata"] for trigger in spec["triggers"])
        assert f"between {spec['minReplicaCount']} and {spec['maxReplicaCount']} pods" in TEXT
        assert f"every {mailbox['value']} messages" in TEXT
        assert f"every {runs['threshold']} runs" in TEXT
    grace = production.pods()["alice"]["spec"]["terminationGracePeriodSeconds"]
    assert f"A pod has {grace} s to end" in TEXT
