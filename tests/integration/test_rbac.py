"""The operator's permissions are those it uses: no more, no less."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from chart.helm import NAMESPACE, Helm, Manifest, of_kind
from chart.tools import binaries
from e2e.cluster.apiserver import ControlPlane
from integration import play
from integration.api import Api
from integration.conftest import condition, text_model
from integration.process import OperatorProcess, eventually
from integration.test_attachment import installing
from integration.test_builds import model_build
from integration.test_policy_schema import policy
from integration.test_scaling import FREE, SCALER, TRIGGERS, crds
from integration.verdict import reaches
from modelops.api.kinds import KINDS

__all__ = ["crds"]
ACCOUNT = "modelops-operator"
USER = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
ROLES = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


@dataclass(frozen=True, order=True)
class Call:
    """One verb on one resource of a group."""

    group: str
    resource: str
    verb: str


ADMISSION = {Call("modelops.dev", f"{kind.plural}/finalizers", "update") for kind in KINDS.values()}
"""Asked by an admission plugin when it is on, never a request of its own."""

JOBS = {"redis_url": "redis://redis:6379/0", "s3_bucket": "pictures"}


def allowed(roles: Iterable[Manifest]) -> set[Call]:
    """Return what roles allow."""
    return {
        Call(group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def made(audit: Path, since: int) -> set[Call]:
    """Return the calls that the operator made, by what the API server received since a byte."""
    lines = audit.read_bytes()[since:].splitlines()
    return {call for line in lines for call in _calls(json.loads(line))}


def _calls(event: Manifest) -> Iterator[Call]:
    target = event.get("objectRef")
    if event["user"]["username"] != USER or not target:
        return
    parts = (target["resource"], target.get("subresource"))
    resource = "/".join(part for part in parts if part)
    yield Call(target.get("apiGroup", ""), resource, event["verb"])
    if event["verb"] == "patch" and not target.get("subresource"):
        # An apply is one request; the API server asks for `create` too when the object is new.
        yield Call(target.get("apiGroup", ""), resource, "create")


@pytest.fixture(params=["everywhere", "chosen"])
def watched(request: pytest.FixtureRequest, namespace: str) -> str:
    """Return the namespaces that the operator is for; empty: all."""
    return "" if request.param == "everywhere" else namespace


@pytest.fixture
def keda(api: Api, crds: list[Manifest]) -> Iterator[None]:
    """Have KEDA's kinds, until the test ends."""
    with installing(api, crds) as come:
        come()
        yield


@pytest.fixture
def release(api: Api, watched: str, keda: None) -> Iterator[list[Manifest]]:
    """Install the part of the chart that speaks of permissions; return the operator's roles."""
    assert keda is None
    options = [f"--set=watchNamespaces={{{watched}}}"] if watched else []
    objects = Helm(binaries() / "helm").objects(*options)
    chosen = [o for o in objects if o["kind"] in ROLES and _is_operators(o)]
    if api.find("Namespace", None, NAMESPACE) is None:
        api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    for manifest in chosen:
        api.create(dict(manifest))
    yield [*of_kind(chosen, "ClusterRole"), *of_kind(chosen, "Role")]
    for manifest in chosen:
        place = manifest["metadata"].get("namespace")
        api.delete(manifest["kind"], place, manifest["metadata"]["name"])


def _is_operators(manifest: Manifest) -> bool:
    name = manifest["metadata"]["name"]
    return name.startswith(ACCOUNT) and not name.endswith(("-edit", "-view"))


@pytest.fixture
def calls(api: Api, audit: Path) -> Callable[[], set[Call]]:
    """Return a function that returns the calls that the operator made in this test."""
    assert api
    before = audit.stat().st_size
    return lambda: made(audit, before)


COPIED = {
    "Deployment": "chat",
    "Service": "chat",
    "NetworkPolicy": "chat",
    "PersistentVolumeClaim": "chat-weights",
}
"""Children that a model has all its life, by kind and name."""


@pytest.fixture
def operator(
    api: Api, control_plane: ControlPlane, release: list[Manifest], watched: str, tmp_path: Path
) -> Iterator[OperatorProcess]:
    """Return an operator that runs as the chart's ServiceAccount."""
    assert release
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    answer = api.raw("POST", api.path("ServiceAccount", NAMESPACE, ACCOUNT) + "/token", request)
    config = yaml.safe_load(control_plane.kubeconfig.read_text())
    config["users"][0]["user"] = {"token": answer["status"]["token"]}
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    callers = json.dumps([{"podSelector": {"matchLabels": {"app": "gateway"}}}])
    settings = {"RESYNC_SECONDS": "1", "NAMESPACES": watched, "CALLERS": callers, "SCALER": SCALER}
    settings["JOBS"] = json.dumps(JOBS)
    running = OperatorProcess(kubeconfig, NAMESPACE, tmp_path / "log", **settings)
    try:
        yield running.ready()
    finally:
        running.close()
        api.delete("Lease", NAMESPACE, ACCOUNT)


def test_the_chart_allows_what_the_operator_does_and_nothing_else(
    api: Api,
    namespace: str,
    calls: Callable[[], set[Call]],
    operator: OperatorProcess,
    release: list[Manifest],
) -> None:
    """Over a model's life every call is allowed, and every permission is used."""
    api.create(text_model(namespace, model={"uri": "hf://owner/name"}, scaling={"minReplicas": 2}))
    eventually(lambda: api.find("PodDisruptionBudget", namespace, "chat"), what="all children")
    api.merge("TextModel", namespace, "chat", {"spec": {"scaling": {"minReplicas": 1}}})
    eventually(lambda: one_replica(api, namespace), what="1 replica")
    play.pod(api, namespace)
    play.fetching(api, namespace)
    reaches(api, namespace, "FetchingWeights")
    leftovers(api, namespace)
    play.running(api, namespace)
    reaches(api, namespace, "Serving")
    for kind in ("PodDisruptionBudget", *COPIED):
        eventually(lambda kind=kind: going(api, kind, namespace), what=f"no old {kind}")
    scaled(api, namespace)
    quantized(api, namespace)
    built(api, namespace)
    painted(api, namespace)
    judged(api, "ModelRoute", namespace, {"targets": [{"model": "chat"}]}, "Serving")
    judged(api, "Tenant", NAMESPACE, {}, "InForce")
    judged(api, "Tenant", namespace, {}, "WrongNamespace")
    assert operator.terminate() == 0
    permitted = allowed(release)
    assert calls() - permitted == set()
    assert permitted - calls() == ADMISSION


def one_replica(api: Api, namespace: str) -> bool:
    """Tell whether the model's Deployment is there and shall have one replica."""
    found = api.find("Deployment", namespace, "chat")
    return found is not None and found["spec"].get("replicas") == 1


def judged(api: Api, kind: str, namespace: str, spec: Manifest, reason: str) -> None:
    """Make a policy, wait until it is told what became of it, and delete it."""
    api.create(policy(kind, namespace, spec))
    eventually(
        lambda: condition(api.find(kind, namespace, "one"), "Ready").get("reason") == reason,
        what=f"{kind} in {namespace} is {reason}",
    )
    api.delete(kind, namespace, "one")


def scaled(api: Api, namespace: str) -> None:
    """Let KEDA scale the model, with triggers that need secrets, and then nobody any more."""
    free = {**FREE, "triggers": TRIGGERS}
    api.merge("TextModel", namespace, "chat", {"spec": {"scaling": free}})
    objects = (("ScaledObject", "chat"), ("TriggerAuthentication", "chat-trigger-1"))
    for kind, name in objects:
        eventually(lambda kind=kind, name=name: api.find(kind, namespace, name), what=kind)
    fixed = dict.fromkeys(free) | {"minReplicas": 1}
    api.merge("TextModel", namespace, "chat", {"spec": {"scaling": fixed}})
    for kind, name in objects:
        gone = f"no {kind}"
        eventually(lambda kind=kind, name=name: not api.find(kind, namespace, name), what=gone)


def quantized(api: Api, namespace: str) -> None:
    """Ask for smaller weights, which a ModelBuild makes, and change one's mind."""
    asked = {"spec": {"quantization": {"method": "GPTQ"}}}
    api.merge("TextModel", namespace, "chat", asked)
    eventually(lambda: api.find("ModelBuild", namespace, "chat-build"), what="a ModelBuild")
    reaches(api, namespace, "Building")
    api.merge("TextModel", namespace, "chat", {"spec": {"quantization": None}})
    eventually(lambda: not api.find("ModelBuild", namespace, "chat-build"), what="no ModelBuild")


def built(api: Api, namespace: str) -> None:
    """Have two objects share a Job, which goes when neither asks for it any more."""
    for name in ("one", "two"):
        api.create(model_build(namespace, name))
    job = eventually(lambda: shared(api, namespace), what="a Job with two owners")
    for name in ("one", "two"):
        api.merge("ModelBuild", namespace, name, {"spec": {"method": "RTN"}})
    name = job["metadata"]["name"]
    eventually(lambda: not api.find("Job", namespace, name), what="no Job of the old recipe")
    for name in ("one", "two"):
        api.delete("ModelBuild", namespace, name)


def painted(api: Api, namespace: str) -> None:
    """Have a model of pictures that scales: it is told what it is, and asks for replicas."""
    model = {**text_model(namespace, "paint", scaling=FREE), "kind": "DiffusionModel"}
    api.create(model)
    eventually(lambda: told(api, namespace), what="an ask, and a condition")
    api.delete("DiffusionModel", namespace, "paint")


def told(api: Api, namespace: str) -> bool:
    """Tell whether the model of pictures has a condition, and asks for replicas."""
    found = api.get("DiffusionModel", namespace, "paint")
    return bool(condition(found, "Ready")) and "replicas" in found["spec"]["scaling"]


def shared(api: Api, namespace: str) -> Manifest | None:
    """Return the Job that two objects own, if there is one."""
    jobs = api.all("Job", namespace)
    return next((j for j in jobs if len(j["metadata"].get("ownerReferences", [])) == 2), None)


def going(api: Api, kind: str, namespace: str) -> bool:
    """Tell whether the leftover of a kind is deleted; a claim waits for its protection to end."""
    found = api.find(kind, namespace, "old")
    return found is None or "deletionTimestamp" in found["metadata"]


def leftovers(api: Api, namespace: str) -> None:
    """Leave a child of each kind that an earlier version had by another name."""
    for kind, name in COPIED.items():
        live = api.get(kind, namespace, name)
        meta = {k: live["metadata"][k] for k in ("labels", "ownerReferences")}
        spec = {k: v for k, v in live["spec"].items() if k not in {"clusterIP", "clusterIPs"}}
        old = {"metadata": {"name": "old", "namespace": namespace, **meta}, "spec": spec}
        api.create({"apiVersion": live["apiVersion"], "kind": kind, **old})
        budget = {"metadata": old["metadata"], "spec": {"maxUnavailable": 1}}
    api.create({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", **budget})
