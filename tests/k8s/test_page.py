"""docs/kubernetes.md names only what is there."""

from __future__ import annotations

import re

from tests.k8s.rendering import REPOSITORY, Overlay

TEXT = (REPOSITORY / "docs" / "kubernetes.md").read_text("utf-8")


def test_every_file_that_the_page_names_is_there_or_is_the_readers() -> None:
    named = set(re.findall(r"\b(?:k8s|agents)/[\w./-]+\w", TEXT))
    assert len(named) > 5
    missing = {name for name in named if not (REPOSITORY / name).exists()}
    assert missing == {"agents/carol.yaml", "k8s/base/carol.yaml"}


def test_every_object_of_the_first_commands_is_in_the_local_overlay(local: Overlay) -> None:
    first = TEXT.partition("## From an empty")[2].partition("## ")[0]
    assert set(re.findall(r"\bjob/(\w+)", first)) <= set(local.of("Job"))
    assert set(re.findall(r"\bdeploy/(\w+)", first)) <= set(local.of("Deployment"))


def test_every_secret_that_production_needs_is_named(production: Overlay) -> None:
    needed: set[str] = set()
    for pod in production.pods().values():
        spec = pod["spec"]
        needed |= {it["secret"]["secretName"] for it in spec["volumes"] if "secret" in it}
        for container in spec["containers"]:
            needed |= {it["secretRef"]["name"] for it in container.get("envFrom", [])}
            for variable in container["env"]:
                if "valueFrom" in variable:
                    needed.add(variable["valueFrom"]["secretKeyRef"]["name"])
    made_by_operators = {"postgres-ca"}
    for name in needed - made_by_operators:
        assert f" {name} " in TEXT or f"`{name}`" in TEXT, name


def test_the_numbers_of_the_page_are_those_of_the_manifests(production: Overlay) -> None:
    for item in production.of("ScaledObject").values():
        spec = item["spec"]
        mailbox, runs = (trigger["metadata"] for trigger in spec["triggers"])
        assert f"between {spec['minReplicaCount']} and {spec['maxReplicaCount']} pods" in TEXT
        assert f"every {mailbox['value']} messages" in TEXT
        assert f"every {runs['threshold']} runs" in TEXT
    grace = production.pods()["alice"]["spec"]["terminationGracePeriodSeconds"]
    assert f"A pod has {grace} s to end" in TEXT
