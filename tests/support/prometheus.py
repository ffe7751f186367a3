"""A real Prometheus with the rules of production, at a faster clock, scraping real processes."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.machine import need
from tests.support.processes.running import PATIENCE_S, until
from tests.support.repository import REPOSITORY

PRODUCTION = REPOSITORY / "k8s" / "overlays" / "production"
MINUTE_S = 4.0
"""The length of a minute in rules, ranges and intervals. Thresholds stay as they are:
the processes go at their own pace, and 60 seconds of waiting are 60 seconds."""

Manifest = dict[str, Any]
Alert = tuple[str, str]
"""Its name, and the process that it is about."""


def manifests(file: str) -> dict[tuple[str, str], Manifest]:
    """The specs of one of production's files, by kind and name."""
    found = yaml.safe_load_all((PRODUCTION / file).read_text("utf-8"))
    return {(it["kind"], it["metadata"]["name"]): it["spec"] for it in found}


def faster(text: str) -> str:
    """Every duration shortened: `5m` is 20 seconds, `15s` is one."""

    def shortened(duration: re.Match[str]) -> str:
        minutes = int(duration[1]) * (1.0 if duration[2] == "m" else 1 / 60)
        return f"{minutes * MINUTE_S * 1000:.0f}ms"

    return re.sub(r"\b(\d+)([ms])\b", shortened, text)


@dataclass(frozen=True)
class Prometheus:
    url: str
    targets: Path

    def scrape(self, ports: dict[str, list[int]]) -> None:
        """Scrape these health ports, by process name, as Kubernetes names pods to Prometheus."""
        groups = [
            {"targets": [f"127.0.0.1:{port}" for port in of_it], "labels": {"process": name}}
            for name, of_it in ports.items()
        ]
        new = self.targets.with_suffix(".new")
        new.write_text(json.dumps(groups), "utf-8")
        new.replace(self.targets)

    def firing(self) -> set[Alert]:
        alerts = self._asked("alerts")["alerts"]
        return {
            (it["labels"]["alertname"], it["labels"]["process"])
            for it in alerts
            if it["state"] == "firing"
        }

    def value(self, query: str) -> float:
        """The value of a query; 0 where it has none."""
        found = self._asked(f"query?{urllib.parse.urlencode({'query': query})}")["result"]
        return float(found[0]["value"][1]) if found else 0.0

    def _asked(self, what: str) -> Manifest:
        with urllib.request.urlopen(f"{self.url}/api/v1/{what}", timeout=10) as reply:
            data: Manifest = json.load(reply)["data"]
            return data

    def ready(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/-/ready", timeout=10).close()
        except (urllib.error.URLError, ConnectionError):
            return False
        return True


@contextmanager
def serving(folder: Path, broker: str, vhost: str) -> Iterator[Prometheus]:
    """Evaluates production's rules; scrapes the broker's queues at `host:port`, as there."""
    need("prometheus")
    folder.mkdir()
    monitors = manifests("monitors.yaml")
    rules = yaml.safe_dump(manifests("alerts.yaml")["PrometheusRule", "hutch"])
    (folder / "rules.yaml").write_text(faster(rules), "utf-8")
    (of_pods,) = monitors["PodMonitor", "hutch"]["podMetricsEndpoints"]
    *_, of_queues = monitors["ServiceMonitor", "rabbitmq"]["endpoints"]
    every = of_pods["interval"]
    config = {
        "global": {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every},
        "rule_files": ["rules.yaml"],
        "scrape_configs": [
            {
                "job_name": "hutch",
                "metrics_path": of_pods.get("path", "/metrics"),
                "file_sd_configs": [{"files": ["targets.json"], "refresh_interval": every}],
            },
            {
                "job_name": "rabbitmq",
                "metrics_path": of_queues["path"],
                "params": of_queues["params"] | {"vhost": [vhost]},
                "static_configs": [{"targets": [broker]}],
            },
        ],
    }
    (folder / "prometheus.yaml").write_text(faster(yaml.safe_dump(config)), "utf-8")
    (folder / "targets.json").write_text("[]", "utf-8")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = int(holder.getsockname()[1])
    command = ["prometheus", f"--config.file={folder / 'prometheus.yaml'}"]
    command += [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "said.log").open("wb") as said:
        running = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        found = Prometheus(f"http://127.0.0.1:{port}", folder / "targets.json")
        until(lambda: running.poll() is not None or found.ready())
        assert running.poll() is None, (folder / "said.log").read_text("utf-8")
        yield found
    finally:
        running.terminate()
        running.wait(PATIENCE_S)
