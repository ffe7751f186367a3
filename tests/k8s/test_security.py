"""The findings of a scanner, and rules that no scanner checks."""

from __future__ import annotations

import re
import subprocess

from services.cli.deploy.users import users
from shared.contract.access import agent_user
from shared.definitions.loader import load
from tests.support.k8s.rendering import Manifest, Overlay, tool
from tests.support.repository import REPOSITORY

CREDENTIALS = re.compile(r"(\w+)://([^@/]*)@")


def test_checkov_finds_nothing_that_is_not_explained(any_overlay: Overlay) -> None:
    done = subprocess.run(
        [tool("checkov"), "--config-file", REPOSITORY / "k8s/checkov.yaml", "-f", any_overlay.file],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_pod_is_restricted(any_overlay: Overlay) -> None:
    assert (
        any_overlay.of("Namespace")["hutch"]["metadata"]["labels"][
            "pod-security.kubernetes.io/enforce"
        ]
        == "restricted"
    )
    for name, pod in any_overlay.pods().items():
        context = pod["spec"]["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] > 0, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod["spec"]), name
        assert all("hostPath" not in volume for volume in pod["spec"]["volumes"]), name


def test_every_container_is_sealed(any_overlay: Overlay) -> None:
    for name, container in any_overlay.containers():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


def test_our_processes_run_as_the_user_of_the_image(any_overlay: Overlay) -> None:
    user = re.search(r"^USER (\d+)$", (REPOSITORY / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    assert user
    for name, container in any_overlay.containers():
        if "/hutch:" in f"/{container['image']}":
            assert any_overlay.pods()[name]["spec"]["securityContext"]["runAsUser"] == int(user[1])


def test_no_pod_has_a_token_for_kubernetes(any_overlay: Overlay) -> None:
    for name, pod in any_overlay.pods().items():
        assert pod["spec"]["automountServiceAccountToken"] is False, name
    for name, account in any_overlay.of("ServiceAccount").items():
        assert account["automountServiceAccountToken"] is False, name
    assert {"Role", "ClusterRole"}.isdisjoint(it["kind"] for it in any_overlay.objects)


def secrets(pod: Manifest) -> dict[str, str]:
    """The Secrets that a pod mounts, by where."""
    (container,) = pod["spec"]["containers"]
    named = {it["name"]: it["secret"]["secretName"] for it in _mounted(pod) if "secret" in it}
    mounts = container["volumeMounts"]
    return {it["mountPath"]: named[it["name"]] for it in mounts if it["name"] in named}


def _mounted(pod: Manifest) -> list[Manifest]:
    found: list[Manifest] = pod["spec"]["volumes"]
    return found


def test_production_holds_no_secret_only_names_of_secrets(production: Overlay) -> None:
    assert not production.of("Secret")
    for _, container in production.containers():
        for variable in container.get("env", []):
            assert not CREDENTIALS.findall(variable.get("value", "")), variable["name"]
            assert not re.search("PASSWORD|KEY$|TOKEN", variable["name"])


def test_each_process_is_a_user_of_its_own_to_the_broker(production: Overlay) -> None:
    for name, pod in production.pods().items():
        (container,) = pod["spec"]["containers"]
        env = {it["name"]: it.get("value", "") for it in container["env"]}
        of_broker = {it for it in secrets(pod).values() if it.startswith("broker-")}
        if name == "migrate":
            assert not of_broker
            continue
        assert of_broker == {f"broker-{name}"}
        assert secrets(pod)["/secrets/broker"] == f"broker-{name}"
        assert env["RABBITMQ_URL_FILE"] == "/secrets/broker/url"


def test_every_broker_secret_has_a_user_and_the_other_users_stay_outside(
    production: Overlay,
) -> None:
    mounted = {name for pod in production.pods().values() for name in secrets(pod).values()}
    (keda,) = production.of("TriggerAuthentication").values()
    asked = {it["name"] for it in keda["spec"]["secretTargetRef"]}
    named = {it.removeprefix("broker-") for it in mounted | asked if it.startswith("broker-")}
    known = {it.name.removeprefix(agent_user("")) for it in users(load(REPOSITORY / "agents"))}
    assert known - named == {"admin", "client"}
    assert named <= known


def test_local_has_one_user_for_all(local: Overlay) -> None:
    for name, pod in local.pods().items():
        if pod["metadata"]["labels"]["app.kubernetes.io/component"] in {"agent", "scheduler"}:
            assert secrets(pod)["/secrets/broker"] == "broker", name


def test_local_secrets_are_clearly_no_secrets() -> None:
    text = (REPOSITORY / "k8s/overlays/local/kustomization.yaml").read_text("utf-8")
    assert set(re.findall(r"password=([\w-]+)", text)) == {"local-only"}
    assert {who for _, who in CREDENTIALS.findall(text)} == {"hutch:local-only"}
    assert re.findall(r"API_KEY=([\w-]+)", text) == ["scripted"]


def test_production_reaches_broker_and_store_by_tls_and_verifies_both(production: Overlay) -> None:
    for name, container in production.containers():
        env = {it["name"]: it.get("value", "") for it in container["env"]}
        mounted = {it["mountPath"] for it in container["volumeMounts"]}
        assert env["PGSSLMODE"] == "verify-full", name
        assert env["PGSSLROOTCERT"].rpartition("/")[0] in mounted, name
        if name != "migrate":  # the address itself is in a Secret: see docs/kubernetes.md
            assert secrets(production.pods()[name])["/tls/broker"] == "rabbitmq-tls"


def test_keda_verifies_the_brokers_certificate(production: Overlay) -> None:
    """KEDA would not read `tls` from a trigger's metadata."""
    spec = production.of("TriggerAuthentication")["rabbitmq"]["spec"]
    (tls,) = spec["configMapTargetRef"]
    assert tls["parameter"] == "tls"
    assert production.of("ConfigMap")[tls["name"]]["data"][tls["key"]] == "enable"
    assert {it["parameter"] for it in spec["secretTargetRef"]} == {"host", "ca"}


def test_production_has_three_nodes_of_each_and_a_commit_is_on_two(production: Overlay) -> None:
    broker = production.of("RabbitmqCluster")["rabbitmq"]["spec"]
    store = production.of("Cluster")["postgres"]["spec"]
    assert broker["replicas"] == store["instances"] == 3
    assert broker["tls"]["disableNonTLSListeners"] is True
    assert store["postgresql"]["synchronous"]["dataDurability"] == "required"
