"""The rules at figures that take a quarter of an hour to come about.

The causes themselves: tests/integration/services/test_alerts.py.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.k8s.rendering import Manifest, Overlay
from tests.support.prometheus import manifests

FIGURES = Path(__file__).parent / "alerts.yaml"


def rules(production: Overlay) -> Manifest:
    (found,) = production.of("PrometheusRule").values()
    spec: Manifest = found["spec"]
    return spec


@pytest.mark.needs("prometheus")
def test_each_alert_is_raised_for_alice_and_not_for_bob(
    production: Overlay, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules(production)), "utf-8")
    figures = shutil.copy(FIGURES, tmp_path)
    done = subprocess.run(
        ["promtool", "test", "rules", figures], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_whose_causes_are_tested_are_the_rendered_ones(production: Overlay) -> None:
    assert rules(production) == manifests("alerts.yaml")["PrometheusRule", "hutch"]
    rendered = production.of("PodMonitor", "ServiceMonitor")
    for (_, name), spec in manifests("monitors.yaml").items():
        assert rendered[name]["spec"] == spec


def test_there_are_figures_for_every_alert(production: Overlay) -> None:
    alerts = {rule["alert"] for group in rules(production)["groups"] for rule in group["rules"]}
    (tried,) = yaml.safe_load(FIGURES.read_text("utf-8"))["tests"]
    raised = {it["alertname"] for it in tried["alert_rule_test"] if it.get("exp_alerts")}
    assert raised == alerts
