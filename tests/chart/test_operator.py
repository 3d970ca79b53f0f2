"""The Deployment gives the operator what it reads, and reads what it gives."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from chart.helm import CHART, MONITORING, NAMESPACE, Helm, one
from modelops.controller.metrics import Metrics
from modelops.controller.settings import PREFIX, Settings
from modelops.sync.catalogue import GatewayApi, Jobs
from modelops.sync.observed import Ref

VALUES = {
    "accelerator": "amd.com/gpu",
    "cache.size": "7Gi",
    "cache.storageClassName": "fast",
    "builds.kueueQueue": "spare",
    "builds.priorityClass.name": "humble",
    "clusterDomain": "c.example",
    "networkPolicy.metricsFrom[0].podSelector.matchLabels.app": "prometheus",
    "gatewayApi.enabled": "true",
    "gatewayApi.parentRefs[0].name": "shared",
    "gatewayApi.endpointPicker.name": "picker",
    "gatewayApi.endpointPicker.port": "9003",
    "gatewayApi.endpointPicker.failureMode": "FailClose",
    "gatewayApi.callers[0].podSelector.matchLabels.app": "shared-gateway",
    "images.modelops": "r.example/modelops:1",
    "images.vllm": "",
    "images.vllm-cpu": "r.example/cpu:2",
    "images.llm-compressor": "",
    "images.diffusers-builder": "",
    "images.onnx-builder": "",
    "images.llama-cpp": "",
    "images.llama-cpp-builder": "",
    "images.ray-diffusers": "",
    "images.ray-diffusers-cpu": "",
    "jobs.redis.url": "redis://redis.jobs:6379/0",
    "jobs.redis.existingSecret": "jobs-redis",
    "jobs.s3.endpoint": "https://s3.example",
    "jobs.s3.bucket": "pictures",
    "jobs.s3.existingSecret": "jobs-s3",
    "jobs.s3.publicUrl": "https://cdn.example",
    "operator.leaseSeconds": "20",
    "operator.logFormat": "text",
    "operator.logLevel": "debug",
    "operator.resyncSeconds": "60",
    "operator.stuckSeconds": "90",
    "operator.workers": "8",
    "watchNamespaces": "{team-a,team-b}",
}
EXPECTED = {
    "accelerator": "amd.com/gpu",
    "cache_size": "7Gi",
    "storage_class": "fast",
    "build_priority_class": "humble",
    "build_queue": "spare",
    "cluster_domain": "c.example",
    "callers": (
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}},
            "podSelector": {
                "matchLabels": {
                    "app.kubernetes.io/instance": "modelops",
                    "app.kubernetes.io/name": "modelops-gateway",
                }
            },
        },
        {"podSelector": {"matchLabels": {"app": "prometheus"}}},
        {"podSelector": {"matchLabels": {"app": "shared-gateway"}}},
    ),
    "gateway_api": GatewayApi(({"name": "shared"},), "picker", 9003, "FailClose"),
    "scaler": f"modelops-gateway-scaler.{NAMESPACE}.svc:9905",
    "jobs": Jobs(
        *("redis://redis.jobs:6379/0", "pictures", "jobs-redis", "https://s3.example"),
        *("jobs-s3", "https://cdn.example"),
    ),
    "decisions_url": f"http://modelops-gateway-scaler.{NAMESPACE}.svc:9906/decisions",
    "images": {"modelops": "r.example/modelops:1", "vllm-cpu": "r.example/cpu:2"},
    "lease_seconds": 20,
    "log_format": "text",
    "log_level": "debug",
    "resync_seconds": 60,
    "stuck_seconds": 90,
    "workers": 8,
    "namespaces": ("team-a", "team-b"),
    "lease_namespace": NAMESPACE,
    "lease_name": "modelops-operator",
    "identity": "pod-1",
    "metrics_port": 9090,
    "health_port": 8081,
}
TO_ITSELF = {"bind_address"}
"""Settings that only matter outside a pod."""


def container(helm: Helm, *options: str) -> dict[str, Any]:
    """Return the operator's container."""
    spec = one(helm.objects(*options), "Deployment", "modelops-operator")["spec"]["template"][
        "spec"
    ]
    (only,) = spec["containers"]
    return dict(only)


def environment(helm: Helm, *options: str) -> dict[str, str]:
    """Return the variables of the operator's container, the pod's name filled in."""
    return {each["name"]: each.get("value", "pod-1") for each in container(helm, *options)["env"]}


def read(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the settings that the operator reads from these variables."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return {name: value for name, value in Settings() if name not in TO_ITSELF}


def test_every_setting_has_its_value(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting of the operator is one of the chart, and arrives as it was written."""
    assert set(EXPECTED) == set(Settings.model_fields) - TO_ITSELF
    options = [f"--set={name}={value}" for name, value in VALUES.items()]
    assert read(environment(helm, *options), monkeypatch) == EXPECTED


def test_the_defaults_are_settings(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the chart's defaults the operator starts, watches everything and knows its images."""
    settings = read(environment(helm), monkeypatch)
    assert settings["namespaces"] == ()
    assert settings["storage_class"] is None
    engines = {"vllm", "vllm-cpu", "llama-cpp", "ray-diffusers", "ray-diffusers-cpu"}
    builders = {"llm-compressor", "llama-cpp-builder", "diffusers-builder", "onnx-builder"}
    assert {"modelops", *engines, *builders} == set(settings["images"])


def test_no_default_accelerator_means_cpu(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty accelerator reaches the operator as none."""
    assert read(environment(helm, "--set=accelerator="), monkeypatch)["accelerator"] is None


def test_no_variable_is_unknown(helm: Helm) -> None:
    """The chart sets no variable that the operator does not read."""
    known = {f"{PREFIX}{name}".upper() for name in Settings.model_fields}
    assert set(environment(helm)) <= known


def test_probes_and_scrapes_find_their_ports(helm: Helm) -> None:
    """The named ports are those on which the operator listens."""
    variables, ports = environment(helm), container(helm)["ports"]
    numbers = {port["name"]: str(port["containerPort"]) for port in ports}
    assert numbers["metrics"] == variables["MODELOPS_METRICS_PORT"]
    assert numbers["health"] == variables["MODELOPS_HEALTH_PORT"]


def real_metrics() -> set[str]:
    """Return the names of the series that the operator exposes."""
    metrics = Metrics.create()
    metrics.passes.labels("Kind", "ready")
    metrics.pass_seconds.labels("Kind")
    metrics.count_call("get", "pods", 200)
    metrics.scale_changes.labels("Kind", "Woken", "held")
    metrics.build_seconds.labels("GPTQ")
    metrics.build_gpu_seconds.labels("GPTQ")
    metrics.builds.note(Ref("v1", "Kind", "team", "one"), {})
    return {sample.name for family in metrics.registry.collect() for sample in family.samples}


def named_metrics(helm: Helm) -> Iterator[str]:
    """Return the series that alerts and dashboard ask for."""
    rule = one(helm.objects(*MONITORING), "PrometheusRule", "modelops-operator")
    dashboard = json.loads((CHART / "files" / "dashboard.json").read_text(encoding="utf-8"))
    alerts = [each["expr"] for group in rule["spec"]["groups"] for each in group["rules"]]
    panels = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    for expression in (*alerts, *panels):
        names = re.findall(r"\bmodelops_\w+", expression)
        assert names, expression
        yield from names


def test_alerts_and_panels_ask_for_real_metrics(helm: Helm) -> None:
    """Every series that an alert or a panel names is one that the operator exposes."""
    assert set(named_metrics(helm)) <= real_metrics()


def test_the_dashboard_arrives_whole(helm: Helm) -> None:
    """The ConfigMap holds the dashboard as JSON, with the label that Grafana looks for."""
    found = one(helm.objects(*MONITORING), "ConfigMap", "modelops-operator-dashboard")
    whole = json.loads((CHART / "files" / "dashboard.json").read_text(encoding="utf-8"))
    assert json.loads(found["data"]["modelops-operator.json"]) == whole
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"


@pytest.mark.parametrize(
    ("kind", "value"),
    [("PodMonitor", "podMonitor"), ("PrometheusRule", "alerts"), ("ConfigMap", "dashboard")],
)
def test_monitoring_comes_when_the_cluster_has_it(helm: Helm, kind: str, value: str) -> None:
    """Auto follows the cluster; Always and Never do as they say."""

    def rendered(create: str, *options: str) -> bool:
        found = helm.objects(f"--set=metrics.{value}.create={create}", *options)
        return kind in {each["kind"] for each in found}

    assert rendered("Auto", *MONITORING)
    assert not rendered("Auto")
    assert rendered("Always")
    assert not rendered("Never", *MONITORING)


def test_two_releases_do_not_collide(helm: Helm) -> None:
    """With another fullnameOverride no object but the CRDs has a name of the first release."""

    def names(*options: str) -> set[tuple[str, str]]:
        found = helm.objects("--set=crds.install=false", *options)
        return {(each["kind"], each["metadata"]["name"]) for each in found}

    assert names().isdisjoint(names("--set=fullnameOverride=second"))
