"""`hutch k8s`, and the advice of `hutch check` on k8s/base."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from services.cli.__main__ import app
from tests.support.repository import REPOSITORY


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The agents and manifests of this repository, for tests to change."""
    for part in ("agents", "k8s/base"):
        shutil.copytree(
            REPOSITORY / part, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__")
        )
    monkeypatch.setenv("HUTCH_AGENTS", str(tmp_path / "agents"))
    return tmp_path


def hutch(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, prog_name="hutch")


def drop(file: Path, line: str) -> None:
    text = file.read_text("utf-8")
    assert line in text
    file.write_text(text.replace(line, ""), "utf-8")


def test_the_printed_manifest_is_the_file_in_the_base(copy: Path) -> None:
    done = hutch("k8s", "alice")
    assert done.exit_code == 0
    assert done.stdout == (copy / "k8s/base/alice.yaml").read_text("utf-8")


def test_all_manifests_are_written_as_they_are_here(copy: Path) -> None:
    done = hutch("k8s")
    assert done.exit_code == 0, done.output
    for part in ("agents/Kustomization", "k8s/base", "k8s/overlays"):
        theirs, ours = copy / part, REPOSITORY / part
        files = [it.relative_to(ours) for it in ours.rglob("*.yaml")] if ours.is_dir() else [""]
        for file in files:
            assert (theirs / file).read_text("utf-8") == (ours / file).read_text("utf-8")


def test_manifests_that_were_written_for_other_agents_agree_with_them(copy: Path) -> None:
    shutil.rmtree(copy / "k8s")
    (copy / "agents" / "Kustomization").unlink()
    for name in ("tom", "harry", "editor"):
        (copy / "agents" / f"{name}.yaml").unlink()
    (copy / "agents" / "carol.yaml").write_text("name: carol")
    for file in (copy / "agents" / "tools").glob("*.py"):
        file.rename(file.with_name("new.py"))
    assert hutch("k8s").exit_code == 0
    assert "k8s" not in hutch("check").output
    scaled = (copy / "k8s/overlays/production/scaling.yaml").read_text("utf-8")
    assert "agent.carol" in scaled
    assert "agent.tom" not in scaled


def test_no_agent_replaces_a_shared_manifest(copy: Path) -> None:
    (copy / "agents" / "network.yaml").write_text("name: network")
    before = (copy / "k8s/base/network.yaml").read_text("utf-8")
    done = hutch("k8s")
    assert done.exit_code == 2
    assert "no agent may be called 'network'" in done.output
    assert (copy / "k8s/base/network.yaml").read_text("utf-8") == before


def test_no_manifest_for_an_unknown_agent(copy: Path) -> None:
    done = hutch("k8s", "carol")
    assert done.exit_code == 2
    assert "no agent 'carol'" in done.output


def test_manifests_that_agree_cause_no_advice(copy: Path) -> None:
    done = hutch("check")
    assert (done.exit_code, "9 agents" in done.output) == (0, True)
    assert "k8s/base" not in done.output


def test_an_agent_without_kubernetes_is_checked_as_before(copy: Path) -> None:
    shutil.rmtree(copy / "k8s")
    (copy / "agents" / "Kustomization").unlink()
    assert hutch("check").exit_code == 0


def test_a_new_agent_is_missing_in_the_base_and_among_the_files(copy: Path) -> None:
    (copy / "agents" / "carol.yaml").write_text("name: carol")
    said = hutch("check").output
    assert "carol.yaml: missing; run 'hutch k8s'" in said
    assert "Kustomization: configMapGenerator: add carol.yaml" in said


def test_a_manifest_that_is_not_listed_is_reported(copy: Path) -> None:
    drop(copy / "k8s/base/kustomization.yaml", "  - bob.yaml\n")
    done = hutch("check")
    assert done.exit_code == 0, "it is advice: the agent works without Kubernetes"
    assert "kustomization.yaml: resources: add bob.yaml" in done.output


def test_a_deployment_of_a_removed_agent_is_reported(copy: Path) -> None:
    (copy / "agents" / "tom.yaml").unlink()
    said = hutch("check").output
    assert "a Deployment for 'tom', which is no agent here" in said
    assert "configMapGenerator: there is no tom.yaml" in said


@pytest.mark.parametrize("spoilt", ["agents/Kustomization", "k8s/base/kustomization.yaml"])
def test_a_kustomization_that_is_no_yaml_is_named(copy: Path, spoilt: str) -> None:
    (copy / spoilt).write_text("resources: [")
    done = hutch("check")
    assert done.exit_code == 2
    assert spoilt in done.output


def test_a_tool_that_is_not_mounted_is_reported(copy: Path) -> None:
    (copy / "agents" / "tools" / "new.py").write_text("")
    assert "configMapGenerator: add tools/new.py" in hutch("check").output
    (copy / "agents" / "report.json").write_text("{}")
    assert "configMapGenerator: add report.json" in hutch("check").output
    drop(copy / "k8s/base/agents.yaml", "path: tools/text.py")
    assert "agents.yaml: volumes: mount tools/text.py" in hutch("check").output


@pytest.mark.parametrize(
    ("written", "said"), [("broker-alice", "broker-alice"), ("other", "nothing")]
)
@pytest.mark.parametrize("process", ["bob", "scheduler"])
def test_a_process_with_another_users_secret_is_reported(
    copy: Path, process: str, written: str, said: str
) -> None:
    file = copy / "k8s/base" / f"{process}.yaml"
    text = file.read_text("utf-8")
    file.write_text(text.replace(f"broker-{process}", written), "utf-8")
    output = " ".join(hutch("check").output.split())
    assert f"names {said} instead of the Secret broker-{process}" in output
