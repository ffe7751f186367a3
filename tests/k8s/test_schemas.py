"""Every object is one that its server would take."""

from __future__ import annotations

import subprocess
from collections import Counter

import pytest
from jsonschema import Draft202012Validator

from tests.support.k8s.rendering import PRODUCTION, Overlay, tool
from tests.support.k8s.schemas import FOLDER, definitions
from tests.support.report import summary

BUILT_IN = {"v1", "apps/v1", "batch/v1", "policy/v1", "networking.k8s.io/v1"}


def test_kubernetes_own_kinds_are_valid_and_have_no_unknown_field(any_overlay: Overlay) -> None:
    done = subprocess.run(
        [tool("kubernetes-validate"), "--strict", any_overlay.file],
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = (done.stdout + done.stderr).splitlines()
    others = [line for line in lines if " passed for resource " not in line]
    built_in = [it for it in any_overlay.objects if it["apiVersion"] in BUILT_IN]
    assert done.returncode == 0, "\n".join(others)
    assert len(lines) - len(others) == len(built_in)


def test_the_operators_kinds_are_valid_and_have_no_unknown_field(
    any_overlay: Overlay, pytestconfig: pytest.Config
) -> None:
    known = definitions()
    faults: list[str] = []
    checked: Counter[str] = Counter()
    unknown: set[str] = set()
    for it in any_overlay.objects:
        key = (it["apiVersion"], it["kind"])
        if key[0] in BUILT_IN:
            continue
        if key not in known:
            unknown.add(it["kind"])
            continue
        checked[it["kind"]] += 1
        for fault in Draft202012Validator(known[key]).iter_errors(it):
            where = ".".join(map(str, fault.absolute_path))
            faults.append(f"{it['kind']} {it['metadata']['name']}: {where}: {fault.message}")
    assert not faults, "\n".join(faults)
    if unknown:
        summary(pytestconfig)[f"kinds not validated in {any_overlay.name}"] = ", ".join(
            sorted(unknown)
        )
    if FOLDER.is_dir():
        assert not unknown
        assert (sum(checked.values()) > 0) == (any_overlay.name == PRODUCTION)
