"""The same processes as in the compose file, and they end, scale and wait as ours do."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from services.cli.deploy.users import MOST_GATEWAYS
from services.cli.machine.fleet import MARGIN_S
from services.gateway import metrics as gateway
from services.gateway.webhooks import delivery
from shared.contract.topology import mailbox_name
from shared.definitions.loader import load
from shared.process.runtime import STOP_S
from shared.settings.environment import Settings
from shared.settings.gateway import GatewaySettings
from shared.telemetry.metrics import Metrics
from tests.support.k8s.rendering import Overlay
from tests.support.repository import REPOSITORY

AGENTS = load(REPOSITORY / "agents")
COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text("utf-8"))


def test_local_has_the_processes_of_the_compose_file(local: Overlay) -> None:
    staying = {name for name, it in COMPOSE["services"].items() if "profiles" not in it}
    assert set(local.pods()) == staying
    for name, container in local.containers():
        service = COMPOSE["services"][name]
        assert container["image"] == service["image"]
        assert container.get("args") == service.get("command"), name


def test_production_has_our_processes_and_no_scripted_model(production: Overlay) -> None:
    assert set(production.pods()) == {*AGENTS, "scheduler", "gateway", "migrate", "operator"}


def test_small_has_one_pod_for_all_processes(small: Overlay, local: Overlay) -> None:
    assert set(small.pods()) == {"agents", "postgres", "rabbitmq", "scripted"}
    spec = small.pods()["agents"]["spec"]
    (container,) = spec["containers"]
    assert container["args"][:2] == ["hutch", "up"]
    env = {it["name"]: it.get("value") for it in container["env"]}
    assert spec["terminationGracePeriodSeconds"] > float(env["HUTCH_DRAIN_S"]) + STOP_S + MARGIN_S
    alices = local.pods()["alice"]["spec"]
    assert container["envFrom"] == alices["containers"][0]["envFrom"]
    mounted = [{it["name"]: it for it in one["volumes"]}["agents"] for one in (spec, alices)]
    assert mounted[0] == mounted[1]
    assert container["readinessProbe"]["httpGet"] == {"path": "/ready", "port": "health"}
    ports = {it["name"]: it["containerPort"] for it in container["ports"]}
    service = small.of("Service")["gateway"]["spec"]
    labels = small.pods()["agents"]["metadata"]["labels"]
    assert service["selector"].items() <= labels.items()
    assert {it["targetPort"] for it in service["ports"]} <= set(ports)
    image = (REPOSITORY / "Dockerfile").read_text("utf-8")
    assert f"HUTCH_HEALTH_PORT={ports['health']}" in image


def test_the_agents_are_those_of_the_folder_word_for_word(overlay: Overlay) -> None:
    texts: dict[str, str] = {}
    for name in ("agents", "tools"):
        (found,) = (it for it in overlay.of("ConfigMap") if it.startswith(f"{name}-"))
        texts |= overlay.of("ConfigMap")[found]["data"]
    folder = REPOSITORY / "agents"
    files = [*folder.glob("*.yaml"), *folder.glob("tools/*.py")]
    assert texts == {file.name: file.read_text("utf-8") for file in files}


def test_agents_read_their_tools_from_the_mounted_folder(overlay: Overlay) -> None:
    for name in AGENTS:
        volumes = overlay.pods()[name]["spec"]["volumes"]
        sources = next(it for it in volumes if it["name"] == "agents")["projected"]["sources"]
        items = [one["path"] for it in sources for one in it["configMap"].get("items", [])]
        assert items == ["tools/text.py"], name


def test_every_process_that_stays_is_probed(overlay: Overlay) -> None:
    for name, container in overlay.containers():
        if name not in {"migrate", "operator"}:
            assert {"startupProbe", "livenessProbe", "readinessProbe"} <= set(container), name
        if name in AGENTS:
            assert container["livenessProbe"]["httpGet"]["path"] == "/live"
            assert container["readinessProbe"]["httpGet"]["path"] == "/ready"


def test_a_pod_has_more_time_to_end_than_its_process_takes(overlay: Overlay) -> None:
    for name in (*AGENTS, "scheduler", "gateway"):
        spec = overlay.pods()[name]["spec"]
        env = {it["name"]: it.get("value") for it in spec["containers"][0]["env"]}
        assert spec["terminationGracePeriodSeconds"] > float(env["HUTCH_DRAIN_S"]) + STOP_S


def test_every_variable_of_ours_is_one_that_is_read(overlay: Overlay) -> None:
    fields = {**Settings.model_fields, **GatewaySettings.model_fields}
    read = {str(it.validation_alias) for it in fields.values()}
    for name, container in overlay.containers():
        ours = {it["name"] for it in container.get("env", []) if it["name"].startswith("HUTCH_")}
        assert ours <= read | {"HUTCH_SCRIPTED_HOST"}, name


def test_every_process_has_a_budget_that_selects_it_and_lets_nodes_be_drained(
    overlay: Overlay,
) -> None:
    budgets = overlay.of("PodDisruptionBudget")
    for name in (*AGENTS, "scheduler", "gateway"):
        spec = budgets[name]["spec"]
        labels = overlay.pods()[name]["metadata"]["labels"]
        assert spec["selector"]["matchLabels"].items() <= labels.items()
    brokers = {"rabbitmq"} if overlay.of("RabbitmqCluster") else set()
    assert set(budgets) == {*AGENTS, "scheduler", "gateway", *brokers}
    assert all(it["spec"]["maxUnavailable"] == 1 for it in budgets.values())


def test_a_roll_starts_the_new_before_it_ends_the_old(overlay: Overlay) -> None:
    deployments = overlay.of("Deployment")
    assert deployments["scheduler"]["spec"]["replicas"] == 2
    for name in (*AGENTS, "scheduler", "gateway"):
        rolling = deployments[name]["spec"]["strategy"]["rollingUpdate"]
        assert rolling == {"maxSurge": 1, "maxUnavailable": 0}, name


def test_every_agent_is_scaled_on_its_own_mailbox_and_never_to_zero(production: Overlay) -> None:
    scaled = production.of("ScaledObject")
    del scaled["gateway"]
    assert set(scaled) == set(AGENTS)
    for name, item in scaled.items():
        spec = item["spec"]
        mailbox, runs = spec["triggers"]
        assert spec["scaleTargetRef"]["name"] == name
        assert mailbox["metadata"]["queueName"] == mailbox_name(name)
        assert set(re.findall(r'process="(\w+)"', runs["metadata"]["query"])) == {name}
        assert 1 <= spec["minReplicaCount"] < spec["maxReplicaCount"]
        assert "replicas" not in production.of("Deployment")[name]["spec"]  # it is KEDA's to say


def test_gateways_are_scaled_on_their_streams_and_lose_no_request_when_they_end(
    production: Overlay,
) -> None:
    spec = production.of("ScaledObject")["gateway"]["spec"]
    (streams,) = spec["triggers"]
    assert "hutch_gateway_streams" in streams["metadata"]["query"]
    assert spec["scaleTargetRef"]["name"] == "gateway"
    assert 2 <= spec["minReplicaCount"] < spec["maxReplicaCount"] <= MOST_GATEWAYS
    pod = production.pods()["gateway"]["spec"]
    env = {it["name"]: it.get("value") for it in pod["containers"][0]["env"]}
    leaving_s = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    ending_s = leaving_s + float(env["HUTCH_DRAIN_S"]) + STOP_S
    assert ending_s < pod["terminationGracePeriodSeconds"]


def test_the_ingress_leads_to_the_gateways_port(production: Overlay) -> None:
    (rule,) = production.of("Ingress")["gateway"]["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    service = production.of("Service")[path["backend"]["service"]["name"]]["spec"]
    (port,) = service["ports"]
    assert port["name"] == path["backend"]["service"]["port"]["name"]
    pod = production.pods()["gateway"]
    assert service["selector"].items() <= pod["metadata"]["labels"].items()
    (container,) = pod["spec"]["containers"]
    ports = {it["name"]: it["containerPort"] for it in container["ports"]}
    env = {it["name"]: it.get("value") for it in container["env"]}
    assert str(ports[port["targetPort"]]) == env["HUTCH_GATEWAY_PORT"]


def test_prometheus_finds_every_process_by_its_name(production: Overlay) -> None:
    """The pods' port is the image's, and a process serves this page on it."""
    monitor = production.of("PodMonitor")["hutch"]["spec"]
    (of_component,) = monitor["selector"]["matchExpressions"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    (relabeling,) = endpoint["relabelings"]
    (label,) = relabeling["sourceLabels"]
    assert relabeling["targetLabel"] == "process"
    assert endpoint.get("path", "/metrics") == "/metrics"
    image = (REPOSITORY / "Dockerfile").read_text("utf-8")
    for name in (*AGENTS, "scheduler", "gateway"):
        pod = production.pods()[name]
        labels = pod["metadata"]["labels"]
        assert labels[of_component["key"]] in of_component["values"], name
        named = {re.sub(r"\W", "_", f"__meta_kubernetes_pod_label_{key}"): key for key in labels}
        assert labels[named[label]] == name
        ports = {it["name"]: it["containerPort"] for it in pod["spec"]["containers"][0]["ports"]}
        assert f"HUTCH_HEALTH_PORT={ports[endpoint['port']]}" in image


@pytest.mark.parametrize("kind", ["PrometheusRule", "ScaledObject"])
def test_only_metrics_that_exist_are_asked_for(production: Overlay, kind: str) -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    gateway.Metrics(registry)
    delivery.attempts(registry)
    known = {sample.name for metric in registry.collect() for sample in metric.samples}
    asked = {
        name
        for item in production.of(kind).values()
        for name in re.findall(r"\bhutch_\w+", yaml.safe_dump(item["spec"]))
    }
    assert asked
    assert asked <= known


def test_eight_alerts_each_with_a_page_to_turn_to(production: Overlay) -> None:
    (rules,) = production.of("PrometheusRule").values()
    alerts = [rule for group in rules["spec"]["groups"] for rule in group["rules"]]
    assert len(alerts) == 8
    for alert in alerts:
        page, _, anchor = alert["annotations"]["runbook"].partition("#")
        titles = re.findall("^## (.+)$", (REPOSITORY / page).read_text("utf-8"), re.MULTILINE)
        assert anchor in {title.lower().replace(" ", "-") for title in titles}
