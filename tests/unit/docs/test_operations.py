from __future__ import annotations

import re
from pathlib import Path

from tests.support.pages import COMMANDS, PAGE
from tests.support.prometheus import manifests


def test_every_command_of_the_page_is_run_by_a_test() -> None:
    followed = Path(__file__).parents[2] / "integration" / "services" / "test_operations.py"
    text = followed.read_text("utf-8")
    assert len(COMMANDS) > 15
    for command in COMMANDS:
        assert f'"{command}"' in text or f"'{command}'" in text, f"not run by a test: {command}"


def test_each_alert_has_a_section_and_the_page_lists_it() -> None:
    groups = manifests("alerts.yaml")["PrometheusRule", "hutch"]["groups"]
    named = {
        rule["alert"]: rule["annotations"]["runbook"] for group in groups for rule in group["rules"]
    }
    listed = re.findall(r"^\| (Hutch\w+) \| \[(.+)\]\(#(.+)\) \|$", PAGE, re.MULTILINE)
    assert {alert: f"docs/operations.md#{anchor}" for alert, _, anchor in listed} == named
    for _, title, anchor in listed:
        assert f"\n## {title}\n" in PAGE
        assert title.lower().replace(" ", "-") == anchor
