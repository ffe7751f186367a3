"""The connections between pods: what one side may send and the other may receive."""

from __future__ import annotations

from collections.abc import Iterator

from tests.support.k8s.rendering import Manifest, Overlay

Edge = tuple[str, str, int]

BROKER = ("agent", "scheduler", "gateway")
STORE = ("agent", "scheduler", "gateway", "migrate")


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    for it in selector.get("matchExpressions", []):
        assert it["operator"] == "In"
        if labels.get(it["key"]) not in it["values"]:
            return False
    return bool(selector.get("matchLabels", {}).items() <= labels.items())


def edges(overlay: Overlay, direction: str) -> Iterator[Edge]:
    """From pod to pod by component, with the port, as one side's policies allow it."""
    pods = [pod["metadata"]["labels"] for pod in overlay.pods().values()]
    side = "from" if direction == "ingress" else "to"
    for policy in overlay.of("NetworkPolicy").values():
        spec = policy["spec"]
        own = [labels for labels in pods if selects(spec["podSelector"], labels)]
        for rule in spec.get(direction, []):
            for peer in rule.get(side, []):
                if set(peer) != {"podSelector"}:
                    continue  # other namespaces, and the world
                others = [labels for labels in pods if selects(peer["podSelector"], labels)]
                for ours in own:
                    for other in others:
                        for port in rule["ports"]:
                            ends = (component(ours), component(other))
                            yield (*(ends if side == "to" else ends[::-1]), port["port"])


def component(labels: dict[str, str]) -> str:
    return labels["app.kubernetes.io/component"]


def test_every_port_that_no_policy_names_is_closed(overlay: Overlay) -> None:
    nothing = overlay.of("NetworkPolicy")["nothing"]["spec"]
    assert nothing == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_each_process_reaches_only_the_services_that_it_needs(local: Overlay) -> None:
    out, into = set(edges(local, "egress")), set(edges(local, "ingress"))
    assert out == into  # what may be sent may be received, and the other way round
    assert {edge for edge in out if edge[2] != 5671} == {
        *((who, "broker", 5672) for who in BROKER),
        *((who, "store", 5432) for who in STORE),
        ("agent", "model", 8080),
    }


def test_in_production_only_agents_and_gateways_reach_the_world_and_no_private_address(
    production: Overlay,
) -> None:
    pods = [pod["metadata"]["labels"] for pod in production.pods().values()]
    world = [
        (policy["spec"], peer["ipBlock"])
        for policy in production.of("NetworkPolicy").values()
        for rule in policy["spec"].get("egress", [])
        for peer in rule.get("to", [])
        if "ipBlock" in peer
    ]
    found = []
    for spec, block in world:
        found += sorted({component(it) for it in pods if selects(spec["podSelector"], it)})
        assert {"10.0.0.0/8", "169.254.0.0/16"} <= set(block["except"])
    assert sorted(found) == ["agent", "gateway"]


def test_every_port_of_a_rule_is_served_by_a_pod(local: Overlay) -> None:
    served = {port["containerPort"] for _, it in local.containers() for port in it.get("ports", [])}
    assert {port for _, _, port in edges(local, "ingress")} - {5671} <= served
