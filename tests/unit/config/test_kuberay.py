import importlib.metadata
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from config.ray_settings import CLUSTER_SETTINGS, NAMESPACE, PRELOADED, RAY_SETTINGS, RESOURCES
from config.settings import _SECRET_FIELDS, PREFIX, Settings

FILE = Path(__file__).parents[3] / "docs" / "kuberay.yaml"
IMAGE = "<registry>/tradeactors:<tag>"
TOKEN_DIRECTORY = "/etc/tradeactors/ray"
SECRETS_DIRECTORY = "/etc/tradeactors/secrets"
ONE_MACHINE_ONLY = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"}
HEAD_STORAGE = {"RAY_gcs_storage"}  # here it is a Redis, which KubeRay tells the head of
WANTED = {
    name: value
    for name, value in {**RAY_SETTINGS, **CLUSTER_SETTINGS, "RAY_preload_python_modules": PRELOADED}.items()
    if name not in ONE_MACHINE_ONLY | HEAD_STORAGE
}
Document = dict[str, Any]


@pytest.fixture(scope="module")
def documents() -> dict[tuple[str, str], Document]:
    """By kind and name."""
    loaded = yaml.safe_load_all(FILE.read_text(encoding="utf-8"))
    return {(document["kind"], document["metadata"]["name"]): document for document in loaded}


@pytest.fixture
def cluster(documents: dict[tuple[str, str], Document]) -> Document:
    spec: Document = documents["RayCluster", NAMESPACE]["spec"]
    return spec


@pytest.fixture
def pods(documents: dict[tuple[str, str], Document], cluster: Document) -> dict[str, Document]:
    """The specification of every pod, by what it is for."""
    groups = {group["groupName"]: group["template"]["spec"] for group in cluster["workerGroupSpecs"]}
    return {
        "head": cluster["headGroupSpec"]["template"]["spec"],
        **groups,
        "api": documents["Deployment", "tradeactors-api"]["spec"]["template"]["spec"],
        "doctor": documents["Job", "tradeactors-doctor"]["spec"]["template"]["spec"],
    }


def containers_of(pods: dict[str, Document]) -> Iterator[Document]:
    for pod in pods.values():
        yield from pod["containers"]


def environment_of(container: Document, documents: dict[tuple[str, str], Document]) -> dict[str, str]:
    """What stands in the file of a container's variables; those of Secrets do not."""
    variables: dict[str, str] = {}
    for source in container["envFrom"]:
        if "configMapRef" in source:
            variables |= documents["ConfigMap", source["configMapRef"]["name"]]["data"]
    return variables | {entry["name"]: entry["value"] for entry in container["env"]}


def test_every_container_gets_our_ray_settings(
    documents: dict[tuple[str, str], Document], pods: dict[str, Document]
) -> None:
    for container in containers_of(pods):
        variables = environment_of(container, documents)
        assert variables.items() >= WANTED.items(), container["name"]
        assert not variables.keys() & (ONE_MACHINE_ONLY | HEAD_STORAGE)


def test_every_container_reads_the_token_from_a_mounted_secret(pods: dict[str, Document]) -> None:
    for pod in pods.values():
        secrets = {volume["name"]: volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
        for container in pod["containers"]:
            mounted = {mount["mountPath"]: secrets.get(mount["name"]) for mount in container["volumeMounts"]}
            assert mounted[TOKEN_DIRECTORY] == "tradeactors-ray"
            path = {entry["name"]: entry["value"] for entry in container["env"]}["RAY_AUTH_TOKEN_PATH"]
            assert path.startswith(f"{TOKEN_DIRECTORY}/")


def test_what_kuberays_init_container_needs_and_what_it_would_set_itself_is_in_env(cluster: Document) -> None:
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        named = {entry["name"] for entry in container["env"]}
        assert named >= {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH", "RAY_gcs_rpc_server_reconnect_timeout_s"}


def test_only_the_gateway_group_may_place_orders(cluster: Document) -> None:
    starts = [group["rayStartParams"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]
    assert sum("order_gateway" in str(start) for start in starts) == 1
    (gateways,) = [group for group in cluster["workerGroupSpecs"] if "resources" in group["rayStartParams"]]
    quoted = gateways["rayStartParams"]["resources"]
    assert quoted[0] == quoted[-1] == "'"  # for the shell that runs `ray start`
    assert json.loads(quoted.strip("'")) == RESOURCES
    assert gateways["template"]["spec"]["nodeSelector"]


def test_actors_live_on_the_groups_and_neither_on_the_head_nor_beside_the_api(
    cluster: Document, pods: dict[str, Document]
) -> None:
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert all(int(group["rayStartParams"]["num-cpus"]) > 0 for group in cluster["workerGroupSpecs"])
    for name in ("api", "doctor"):
        (container,) = pods[name]["containers"]
        assert 'ray start --address="$TRADEACTORS_RAY_ADDRESS" --num-cpus=0 ' in container["args"][0]


def test_no_secret_is_in_the_file(documents: dict[tuple[str, str], Document], pods: dict[str, Document]) -> None:
    assert not [name for kind, name in documents if kind == "Secret"]
    secret = {PREFIX + name.upper() for name in _SECRET_FIELDS} | {"RAY_AUTH_TOKEN"}
    for container in containers_of(pods):
        assert not environment_of(container, documents).keys() & secret
    assert "password" not in str(documents["RayCluster", NAMESPACE]["spec"]["headGroupSpec"]).lower()
    password = documents["RayCluster", NAMESPACE]["spec"]["gcsFaultToleranceOptions"]["redisPassword"]
    assert list(password) == ["valueFrom"]


def test_our_settings_are_settings(documents: dict[tuple[str, str], Document], pods: dict[str, Document]) -> None:
    for container in containers_of(pods):
        ours: dict[str, Any] = {
            name.removeprefix(PREFIX).lower(): value
            for name, value in environment_of(container, documents).items()
            if name.startswith(PREFIX)
        }
        assert ours.keys() <= Settings.model_fields.keys()
        assert Settings(_env_file=None, **ours).brokers == ("kite",)
        assert ours["ray_address"] == f"{NAMESPACE}-head-svc:6379"


def test_no_service_is_told_to_a_pod_as_a_setting_that_does_not_exist(pods: dict[str, Document]) -> None:
    assert all(pod["enableServiceLinks"] is False for pod in pods.values())


def test_memory_is_limited_and_processors_are_not(pods: dict[str, Document]) -> None:
    for container in containers_of(pods):
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert limits == {"memory": requests["memory"]}
        assert requests["cpu"]


def test_all_run_one_image_of_the_ray_that_is_locked(cluster: Document, pods: dict[str, Document]) -> None:
    assert {container["image"] for container in containers_of(pods)} == {IMAGE}
    assert cluster["rayVersion"] == importlib.metadata.version("ray")


def test_an_init_is_process_one_and_kuberays_own_command_is_run(
    documents: dict[tuple[str, str], Document], cluster: Document, pods: dict[str, Document]
) -> None:
    assert all(container["command"][0] == "tini" for container in containers_of(pods))
    assert documents["RayCluster", NAMESPACE]["metadata"]["annotations"] == {"ray.io/overwrite-container-cmd": "true"}
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        (container,) = group["template"]["spec"]["containers"]
        assert container["args"][0].endswith('eval exec "$KUBERAY_GEN_RAY_START_CMD"')


def test_the_service_finds_the_api_and_the_probes_ask_it(documents: dict[tuple[str, str], Document]) -> None:
    service, template = documents["Service", "tradeactors-api"]["spec"], documents["Deployment", "tradeactors-api"]
    pod = template["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert service["selector"].items() <= pod["metadata"]["labels"].items()
    (port,) = container["ports"]
    assert service["ports"][0]["targetPort"] == port["name"]
    assert environment_of(container, documents)["TRADEACTORS_API_PORT"] == str(port["containerPort"])
    assert environment_of(container, documents)["TRADEACTORS_API_HOST"] == "0.0.0.0"  # noqa: S104
    assert container["readinessProbe"]["httpGet"]["path"].startswith("/readyz?")
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_what_a_site_must_fill_in_is_marked() -> None:
    lines = [line for line in FILE.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    marked = re.findall(r"<(?!<)([^>\n]*)>", "\n".join(lines))
    assert {"registry", "tag", "ray-redis-host", "static-egress-node-label"} <= set(marked)
    assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in marked), marked


# --- secrets where they are used ---------------------------------------------------------------------------------


def secrets_of(pod: Document) -> set[str]:
    """The Secrets that a pod can read, Ray's token apart."""
    (container,) = pod["containers"]
    assert not [source for source in container["envFrom"] if "secretRef" in source]
    assert not [entry for entry in container["env"] if "valueFrom" in entry]
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    found = set()
    for volume in pod["volumes"]:
        sources = volume.get("projected", {}).get("sources", []) + ([volume] if "secret" in volume else [])
        names = {source["secret"].get("name") or source["secret"]["secretName"] for source in sources}
        if names and names != {"tradeactors-ray"}:
            assert mounted[volume["name"]] == SECRETS_DIRECTORY
            found |= names
    return found


def test_secrets_go_only_where_they_are_used_and_never_by_the_environment(pods: dict[str, Document]) -> None:
    assert {name: secrets_of(pod) for name, pod in pods.items()} == {
        "head": set(),
        "strategies": {"tradeactors"},
        "order-gateways": {"tradeactors"},
        "api": {"tradeactors", "tradeactors-api"},  # which signs tokens
        "doctor": {"tradeactors"},
    }


def test_every_process_looks_for_its_secrets_where_they_are_mounted(
    documents: dict[tuple[str, str], Document], pods: dict[str, Document]
) -> None:
    for container in containers_of(pods):
        assert environment_of(container, documents)[f"{PREFIX}SECRETS_DIR"] == SECRETS_DIRECTORY


# --- the closed network ------------------------------------------------------------------------------------------


@pytest.fixture
def labels(documents: dict[tuple[str, str], Document], cluster: Document) -> dict[str, dict[str, str]]:
    """The labels of every pod, by what it is for, with those that KubeRay adds."""
    workers = {
        group["groupName"]: group["template"]["metadata"]["labels"]
        | {"ray.io/cluster": NAMESPACE, "ray.io/node-type": "worker", "ray.io/group": group["groupName"]}
        for group in cluster["workerGroupSpecs"]
    }
    head = cluster["headGroupSpec"]["template"]["metadata"]["labels"]
    return {
        "head": head | {"ray.io/cluster": NAMESPACE, "ray.io/node-type": "head", "ray.io/group": "headgroup"},
        **workers,
        "api": documents["Deployment", "tradeactors-api"]["spec"]["template"]["metadata"]["labels"],
        "doctor": documents["Job", "tradeactors-doctor"]["spec"]["template"]["metadata"]["labels"],
        "stranger": {"app": "another"},
    }


def selects(selector: Document, labels: dict[str, str]) -> bool:
    return selector.get("matchLabels", {}).items() <= labels.items() and all(
        (labels.get(wanted["key"]) in wanted["values"]) is (wanted["operator"] == "In")
        for wanted in selector.get("matchExpressions", [])
    )


def rules_for(documents: dict[tuple[str, str], Document], labels: dict[str, str], kind: str) -> list[Document] | None:
    """The rules of a direction that hold for a pod; None where no policy closes it."""
    policies = [
        document["spec"]
        for (document_kind, _), document in documents.items()
        if document_kind == "NetworkPolicy"
        and kind in document["spec"]["policyTypes"]
        and selects(document["spec"]["podSelector"], labels)
    ]
    return [rule for policy in policies for rule in policy.get(kind.lower(), [])] if policies else None


def callers_of(
    documents: dict[tuple[str, str], Document], labels: dict[str, dict[str, str]], pod: str
) -> tuple[set[str], list[Document]]:
    """Which of our pods reach one, and the rules for others."""
    rules = rules_for(documents, labels[pod], "Ingress")
    assert rules is not None, f"{pod} is open to all"
    assert all(rule.get("from") for rule in rules), "a rule without `from` lets all in"
    pairs = [(source, rule) for rule in rules for source in rule["from"]]
    selectors = [source["podSelector"] for source, _ in pairs if source.keys() == {"podSelector"}]
    inside = {name for name, own in labels.items() if any(selects(selector, own) for selector in selectors)}
    return inside, [rule for source, rule in pairs if source.keys() != {"podSelector"}]


def test_rays_ports_belong_to_our_pods_alone(
    documents: dict[tuple[str, str], Document], labels: dict[str, dict[str, str]]
) -> None:
    ours = set(labels) - {"stranger"}
    for pod in ours:
        inside, others = callers_of(documents, labels, pod)
        assert inside == ours
        if pod != "api":
            assert others == []


def test_the_api_is_reached_from_the_ingress_alone_and_at_its_port(
    documents: dict[tuple[str, str], Document], labels: dict[str, dict[str, str]]
) -> None:
    _, (rule,) = callers_of(documents, labels, "api")
    assert rule["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "<ingress-namespace>"}}}
    ]
    assert [port["port"] for port in rule["ports"]] == [8000]


def test_pods_reach_what_they_need_and_the_metadata_of_no_cloud(
    documents: dict[tuple[str, str], Document], labels: dict[str, dict[str, str]]
) -> None:
    reached = {}
    for pod in set(labels) - {"stranger"}:
        rules = rules_for(documents, labels[pod], "Egress")
        assert rules is not None, f"{pod} reaches everything"
        assert all(rule.get("to") for rule in rules), "a rule without `to` leads everywhere"
        blocks = [(target["ipBlock"], rule) for rule in rules for target in rule["to"] if "ipBlock" in target]
        reached[pod] = {(block["cidr"], port["port"]) for block, rule in blocks for port in rule["ports"]}
        for block, _ in blocks:
            if block["cidr"] == "0.0.0.0/0":
                assert {"169.254.0.0/16", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"} <= set(block["except"])
    assert reached.pop("head") == {("<ray-redis-network>", 6379)}
    outside = {("0.0.0.0/0", 443), ("::/0", 443)}
    databases = {("<database-network>", 5432), ("<database-network>", 6379)}
    assert all(found == outside | databases for found in reached.values()), reached


def test_no_container_runs_as_root_or_gains_rights(pods: dict[str, Document]) -> None:
    for name, pod in pods.items():
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
    for container in containers_of(pods):
        rights = container["securityContext"]
        assert rights == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}, container["name"]
    image = (FILE.parent / "Dockerfile").read_text(encoding="utf-8")
    (user,) = re.findall(r"^USER (\d+):", image, re.MULTILINE)
    assert int(user) > 0
