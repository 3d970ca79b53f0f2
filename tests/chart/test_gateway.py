"""The gateway as the chart installs it."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from chart.helm import NAMESPACE, ROOT, Helm, HelmError, Manifest, of_kind, one
from modelops.api.kinds import KINDS
from modelops.gateway.settings import Settings
from modelops.gateway.snapshot import Collector, Issuer
from modelops.redis import Address
from podsecurity import violations

NAME = "modelops-gateway"
SERVING = tuple(kind.plural for kind in KINDS.values())
OPTIONS = (
    "--set=gateway.tlsSecret=cert",
    "--set=gateway.tenantRequestsPerMinute=4294967295",
    "--set=gateway.largestBody=33554433",
    "--set=gateway.accessLog=Errors",
    "--set=watchNamespaces={a,b}",
    "--set=gateway.openTelemetry.collector=http://otel.ns:4318",
    "--set-json=gateway.openTelemetry.tracedPercent=0.5",
)


def pod(helm: Helm, *options: str) -> Manifest:
    """Return the gateway's pod template."""
    return one(helm.objects(*options), "Deployment", NAME)["spec"]["template"]


def containers(helm: Helm, *options: str) -> dict[str, Any]:
    """Return the pod's containers by name."""
    return {c["name"]: c for c in pod(helm, *options)["spec"]["containers"]}


MEMORY = {
    "name": "MODELOPS_GATEWAY_MEMORY",
    "valueFrom": {"resourceFieldRef": {"containerName": "envoy", "resource": "limits.memory"}},
}
ADDRESS = {
    "name": "MODELOPS_GATEWAY_POD_IP",
    "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}},
}
TOLD = (MEMORY, ADDRESS)
"""What the node tells the control process: how much memory Envoy may take, and where it is."""


def settings(helm: Helm, monkeypatch: pytest.MonkeyPatch, *options: str) -> Settings:
    """Return the settings that the control process reads."""
    for variable in containers(helm, *options)["control"]["env"]:
        if variable not in TOLD:
            monkeypatch.setenv(variable["name"], variable["value"])
    return Settings()


def test_it_is_there_when_it_is_wanted(helm: Helm) -> None:
    """Without gateway.enabled the chart has nothing of it."""
    off = helm.objects("--set=gateway.enabled=false")
    assert not [o for o in off if NAME in o["metadata"]["name"]]
    kinds = {o["kind"] for o in helm.objects() if NAME in o["metadata"]["name"]}
    assert {
        "Deployment",
        "Service",
        "ServiceAccount",
        "NetworkPolicy",
        "PodDisruptionBudget",
    } < kinds


@pytest.mark.parametrize("options", [(), OPTIONS], ids=["default", "options"])
def test_its_pod_is_restricted(helm: Helm, options: tuple[str, ...]) -> None:
    """Both containers pass Pod Security `restricted` with a read-only root."""
    template = pod(helm, *options)
    assert violations(template) == []
    for container in template["spec"]["containers"]:
        assert container["securityContext"]["readOnlyRootFilesystem"] is True


def test_envoy_has_no_business_with_the_cluster(helm: Helm) -> None:
    """Only the control process has the account's token, and Envoy cannot write its own files."""
    mounts = {
        name: {m["name"]: m.get("readOnly", False) for m in c["volumeMounts"]}
        for name, c in containers(helm).items()
    }
    assert "token" in mounts["control"]
    assert "token" not in mounts["envoy"]
    assert mounts["envoy"]["config"] is True
    assert pod(helm)["spec"]["automountServiceAccountToken"] is False


def test_every_setting_has_its_variable(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each setting of the control process is set, and arrives as it was written."""
    names = {v["name"] for v in containers(helm)["control"]["env"]}
    assert names == {f"MODELOPS_GATEWAY_{name}".upper() for name in Settings.model_fields}
    read = settings(helm, monkeypatch, *OPTIONS)
    assert (read.tls_folder, read.tenant_limit, read.namespaces) == ("/tls", 2**32 - 1, ("a", "b"))
    assert (read.largest_body, read.front.access_log) == (33_554_433, "Errors")
    assert read.front.collector == Collector("otel.ns", 4318, 0.5)
    assert read.system_namespace == NAMESPACE


ISSUERS = [
    {"name": "corp", "issuer": "https://login.example", "audiences": ["m"], "caSecret": "ca"},
    {
        "name": "cluster",
        "issuer": "https://kubernetes.default.svc",
        "audiences": ["m"],
        "inCluster": True,
        "tenantClaim": "kubernetes.io/namespace",
        "tenantPrefix": "",
        "models": ["llama*"],
    },
]


def test_issuers_arrive_as_they_were_written(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control process, and not Envoy, gets the issuers and the certificates to ask them by."""
    option = f"--set-json=gateway.oidc={json.dumps(ISSUERS)}"
    corp, cluster = settings(helm, monkeypatch, option).front.issuers
    assert corp == Issuer("corp", "https://login.example", ("m",), ca_file="/oidc/corp/ca.crt")
    assert (cluster.prefix, cluster.models, cluster.in_cluster) == ("", ("llama*",), True)
    mounts = {
        name: {m["mountPath"] for m in c["volumeMounts"]}
        for name, c in containers(helm, option).items()
    }
    assert corp.ca_file
    assert corp.ca_file.rpartition("/")[0] in mounts["control"] - mounts["envoy"]
    assert violations(pod(helm, option)) == []


@pytest.mark.parametrize(
    "wrong",
    [{"issuer": "http://login.example"}, {"audiences": []}, {"name": "Corp"}, {"secret": "x"}],
)
def test_an_issuer_that_cannot_be_trusted_is_refused(helm: Helm, wrong: dict[str, Any]) -> None:
    """The chart refuses plain HTTP, tokens for everybody, and words that it does not know."""
    option = f"--set-json=gateway.oidc={json.dumps([ISSUERS[0] | wrong])}"
    with pytest.raises(HelmError, match="oidc"):
        helm.text(option)


def test_the_defaults_of_the_chart_are_those_of_the_code(
    helm: Helm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs the control process by hand gets what the chart gives, but for its Redis."""
    found = settings(helm, monkeypatch, "--set=redis.enabled=false")
    assert found.model_dump() == {n: f.default for n, f in Settings.model_fields.items()}


def test_ports_are_those_that_are_listened_on(helm: Helm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The named ports lead where Envoy and the control process listen."""
    found = settings(helm, monkeypatch)
    named = {
        port["name"]: port["containerPort"]
        for container in containers(helm).values()
        for port in container["ports"]
    }
    expected = (found.port, found.envoy_metrics_port, found.metrics_port)
    assert (named["http"], named["metrics"], named["control-metrics"]) == expected
    assert (named["scaler"], named["demand"]) == (found.scaler_port, found.demand_port)


@pytest.mark.parametrize("value", ["gateway.enabled", "networkPolicy.models"])
def test_models_are_shut_off_only_where_the_gateway_leads_to_them(helm: Helm, value: str) -> None:
    """Without the gateway, or when it is told so, the operator lets everyone reach models."""

    def callers(*options: str) -> str:
        operator = one(helm.objects(*options), "Deployment", "modelops-operator")
        (container,) = operator["spec"]["template"]["spec"]["containers"]
        return {v["name"]: v.get("value") for v in container["env"]}["MODELOPS_CALLERS"]

    assert callers()
    assert not callers(f"--set={value}=false")


def test_only_who_may_scrape_reads_what_tenants_use(helm: Helm) -> None:
    """networkPolicy.metricsFrom holds for the control process; probes of Envoy stay possible."""
    peer = {"podSelector": {"matchLabels": {"app": "prometheus"}}}
    told = f"--set-json=networkPolicy.metricsFrom={json.dumps([peer])}"

    def scraped(*options: str) -> dict[str, Any]:
        policy = one(helm.objects(*options), "NetworkPolicy", NAME)
        rules = policy["spec"]["ingress"]
        return {port["port"]: rule.get("from") for rule in rules for port in rule["ports"]}

    given = {"http": None, "metrics": None, "control-metrics": [peer]}
    assert given.items() <= scraped(told).items()
    assert scraped()["control-metrics"] is None


def test_pods_find_each_other_and_whoever_scales_finds_them(
    helm: Helm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One Service lists every pod that is there, ready or not; another leads to one that is."""
    objects, found = helm.objects(), settings(helm, monkeypatch)
    labels = pod(helm)["metadata"]["labels"]
    peers = one(objects, "Service", found.peers)["spec"]
    assert (peers["clusterIP"], peers["publishNotReadyAddresses"]) == ("None", True)
    scaler = one(objects, "Service", f"{NAME}-scaler")["spec"]
    assert {port["name"]: port["port"] for port in scaler["ports"]} == {
        "scaler": found.scaler_port,
        "demand": found.demand_port,
    }
    assert all(spec["selector"].items() <= labels.items() for spec in (peers, scaler))


def test_only_who_scales_hears_of_the_demand(helm: Helm) -> None:
    """KEDA's port is open to KEDA, the other to the gateway's own pods and to the operator."""
    policy = one(helm.objects(), "NetworkPolicy", NAME)
    rules = {port["port"]: r.get("from") for r in policy["spec"]["ingress"] for port in r["ports"]}
    keda = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}}
    assert rules["scaler"] == [keda]
    operator = one(helm.objects(), "Deployment", "modelops-operator")["spec"]["template"]
    allowed = [peer["podSelector"]["matchLabels"] for peer in rules["demand"]]
    for template in (pod(helm), operator):
        labels = template["metadata"]["labels"]
        assert [one for one in allowed if one.items() <= labels.items()]


def granted(role: Manifest) -> set[tuple[str, str, str]]:
    """Return what a role allows."""
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_it_may_read_what_it_follows_and_wake_models(helm: Helm) -> None:
    """Models, routes and EndpointSlices; in its own namespace tenants, ConfigMaps and its pods.

    Of models it may write how many replicas are asked for, and nothing else.
    """
    objects = helm.objects()
    kinds = {("modelops.dev", plural) for plural in (*SERVING, "modelroutes")}
    followed = kinds | {("discovery.k8s.io", "endpointslices")}
    both = {(*resource, verb) for resource in followed for verb in ("list", "watch")}
    wakes = {("modelops.dev", f"{plural}/scale", "patch") for plural in SERVING}
    assert granted(one(objects, "ClusterRole", NAME)) == both | wakes
    keys = one(objects, "Role", f"{NAME}-keys")
    own = (
        ("", "configmaps"),
        ("modelops.dev", "tenants"),
        ("discovery.k8s.io", "endpointslices"),
    )
    assert granted(keys) == {(*resource, verb) for resource in own for verb in ("list", "watch")}
    assert keys["metadata"]["namespace"] == NAMESPACE


def test_the_control_process_follows_and_wakes() -> None:
    """What runs in the pod calls the verbs that its roles allow: one writes, to wake models."""
    names = ("control", "main", "observed", "files", "activator/service", "activator/waker")
    gateway = tuple(f"gateway/{name}" for name in names)
    pod_modules = ("reflector", *gateway)
    folder = ROOT / "src" / "modelops"
    calls = {
        node.func.attr
        for module in pod_modules
        for node in ast.walk(ast.parse((folder / f"{module}.py").read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and ast.unparse(node.func.value).endswith("cluster")
    }
    assert calls == {"survey", "watch", "scale"}


@pytest.mark.parametrize("namespace", ["a", "b"])
def test_watched_namespaces_get_roles_instead(helm: Helm, namespace: str) -> None:
    """With watchNamespaces there is no ClusterRole, and each namespace has the same rules."""
    objects = helm.objects("--set=watchNamespaces={a,b}")
    assert NAME not in {role["metadata"]["name"] for role in of_kind(objects, "ClusterRole")}
    whole = one(helm.objects(), "ClusterRole", NAME)
    roles = [r for r in of_kind(objects, "Role") if r["metadata"]["namespace"] == namespace]
    assert granted(one(roles, "Role", NAME)) == granted(whole)


def test_there_is_time_to_drain(helm: Helm) -> None:
    """The pod is killed only after its open requests had the time that they were promised."""
    template = pod(helm, "--set=gateway.drainSeconds=60")
    command = containers(helm, "--set=gateway.drainSeconds=60")["envoy"]["lifecycle"]["preStop"]
    *_, settle, most = command["exec"]["command"]
    assert template["spec"]["terminationGracePeriodSeconds"] > float(settle) + float(most)
    assert float(most) == 60


@pytest.mark.parametrize(
    ("options", "url", "own"),
    [
        ((), "redis://modelops-redis.modelops-system.svc:6379/0", True),
        (("--set=redis.url=rediss://cache:6379/1",), "rediss://cache:6379/1", False),
        (("--set=redis.enabled=false",), "", False),
    ],
)
def test_it_counts_in_the_redis_that_is_wanted(
    helm: Helm, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], url: str, *, own: bool
) -> None:
    """By default the chart brings a Redis; a URL or `redis.enabled: false` keeps it away."""
    assert settings(helm, monkeypatch, *options).redis_url == url
    names = {(o["kind"], o["metadata"]["name"]) for o in helm.objects(*options)}
    brought = {(kind, "modelops-redis") for kind in ("Deployment", "Service", "NetworkPolicy")}
    assert names & brought == (brought if own else set())


def test_a_url_with_a_password_stays_in_its_secret(helm: Helm) -> None:
    """With redis.urlSecret the URL is read from there, by the pod and not by the chart."""
    found = containers(helm, "--set=redis.urlSecret=cache")["control"]["env"]
    (variable,) = [v for v in found if v["name"] == "MODELOPS_GATEWAY_REDIS_URL"]
    reference = {"name": "cache", "key": "url"}
    assert variable["valueFrom"]["secretKeyRef"] == reference
    assert "value" not in variable


def test_a_password_of_redis_is_mounted_from_its_secret(
    helm: Helm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control process alone has the Secret, whose name without a URL is refused."""
    options = ("--set=redis.url=rediss://cache:6379/0", "--set=redis.existingSecret=cache")
    address = settings(helm, monkeypatch, *options).redis
    assert address == Address("rediss://cache:6379/0", Path("/redis"))
    mounts = {
        name: [mount["mountPath"] for mount in container["volumeMounts"]]
        for name, container in containers(helm, *options).items()
    }
    assert "/redis" in mounts["control"]
    assert "/redis" not in mounts["envoy"]
    with pytest.raises(HelmError, match=r"redis\.url"):
        helm.objects("--set=redis.existingSecret=cache")


def test_redis_is_restricted_and_without_rights(helm: Helm) -> None:
    """Its pod passes Pod Security `restricted`, with a read-only root and no account's token."""
    template = one(helm.objects(), "Deployment", "modelops-redis")["spec"]["template"]
    assert violations(template) == []
    assert template["spec"]["automountServiceAccountToken"] is False
    (container,) = template["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True


ISSUED = (
    "--set=gateway.tlsSecret=cert",
    "--set=gateway.certificate.issuerRef.kind=ClusterIssuer",
    "--set=gateway.certificate.issuerRef.name=ours",
)


def test_cert_manager_makes_the_secret_that_is_mounted(helm: Helm) -> None:
    """The Certificate fills the Secret that Envoy reads, for the Service's names or for others."""
    made = one(helm.objects(*ISSUED), "Certificate", NAME)["spec"]
    (mounted,) = [v for v in pod(helm, *ISSUED)["spec"]["volumes"] if v["name"] == "tls"]
    assert made["secretName"] == mounted["secret"]["secretName"]
    assert made["issuerRef"] == {"kind": "ClusterIssuer", "name": "ours"}
    assert {NAME, f"{NAME}.{NAMESPACE}.svc.cluster.local"} <= set(made["dnsNames"])
    named = helm.objects(*ISSUED, "--set=gateway.certificate.dnsNames={models.example.com}")
    assert one(named, "Certificate", NAME)["spec"]["dnsNames"] == ["models.example.com"]


def test_a_certificate_is_made_only_when_it_is_asked_for(helm: Helm) -> None:
    """A Secret of one's own, or a gateway that is not there, has no Certificate."""
    off = (*ISSUED, "--set=gateway.enabled=false")
    for options in (("--set=gateway.tlsSecret=cert",), off):
        assert not of_kind(helm.objects(*options), "Certificate")
