"""Every pod of the platform passes Pod Security `restricted`."""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from chart.helm import ROOT, Helm, of_kind, one
from modelops.api.builds import BUILDS
from modelops.api.kinds import KINDS
from modelops.sync.builds.desired import sync_build
from modelops.sync.builds.observed import ObservedBuild
from modelops.sync.catalogue import Catalogue, Jobs, Platform
from modelops.sync.desired import Apply, Create, sync
from modelops.sync.observed import DEPLOYMENT, Observed
from podsecurity import violations

GOOD: dict[str, Any] = {
    "metadata": {"annotations": {}},
    "spec": {
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "volumes": [{"name": "tmp", "emptyDir": {}}],
        "initContainers": [],
        "containers": [
            {
                "name": "one",
                "ports": [{"containerPort": 80}],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    },
}
APPARMOR = "container.apparmor.security.beta.kubernetes.io/one"
BAD = {
    "hostNetwork is true": {"spec.hostNetwork": True},
    "hostPID is true": {"spec.hostPID": True},
    "hostIPC is true": {"spec.hostIPC": True},
    "volume tmp is a hostPath": {"spec.volumes.0": {"name": "tmp", "hostPath": {"path": "/"}}},
    "sysctl kernel.msgmax": {
        "spec.securityContext.sysctls": [{"name": "kernel.msgmax", "value": "1"}]
    },
    f"annotation {APPARMOR} is unconfined": {"metadata.annotations": {APPARMOR: "unconfined"}},
    "pod: runAsUser is 0": {"spec.securityContext.runAsUser": 0},
    "pod: hostProcess is true": {"spec.securityContext.windowsOptions": {"hostProcess": True}},
    "pod: appArmorProfile is Unconfined": {
        "spec.securityContext.appArmorProfile": {"type": "Unconfined"}
    },
    "pod: seLinuxOptions has a type that": {
        "spec.securityContext.seLinuxOptions": {"type": "spc_t"}
    },
    "one: seLinuxOptions has a type that": {
        "spec.containers.0.securityContext.seLinuxOptions": {"role": "r"}
    },
    "one: runAsUser is 0": {"spec.containers.0.securityContext.runAsUser": 0},
    "one: privileged is true": {"spec.containers.0.securityContext.privileged": True},
    "one: allowPrivilegeEscalation is not false": {
        "spec.containers.0.securityContext.allowPrivilegeEscalation": True
    },
    "one: procMount is not Default": {"spec.containers.0.securityContext.procMount": "Unmasked"},
    "one: capabilities.drop lacks ALL": {
        "spec.containers.0.securityContext.capabilities.drop": ["KILL"]
    },
    "one: capabilities.add has SYS_ADMIN": {
        "spec.containers.0.securityContext.capabilities.add": ["SYS_ADMIN"]
    },
    "one: runAsNonRoot is not true": {"spec.securityContext.runAsNonRoot": None},
    "one: seccompProfile is not": {"spec.securityContext.seccompProfile": {"type": "Unconfined"}},
    "one: hostPort 80": {"spec.containers.0.ports": [{"containerPort": 80, "hostPort": 80}]},
    "one: a probe or hook asks host x": {
        "spec.containers.0.livenessProbe": {"httpGet": {"host": "x", "port": 1}}
    },
    "container setup: capabilities.drop lacks ALL": {"spec.initContainers": [{"name": "setup"}]},
}


def changed(template: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """Return a copy of a template with one field set."""
    whole = deepcopy(template)
    *parents, last = (int(part) if part.isdigit() else part for part in split(path))
    place: Any = whole
    for part in parents:
        place = place[part]
    place[last] = value
    return whole


def split(path: str) -> list[str]:
    """Return the parts of a dotted path."""
    return path.split(".")


def test_a_good_pod_passes() -> None:
    """The least that `restricted` asks for is enough."""
    assert violations(GOOD) == []


@pytest.mark.parametrize("fault", BAD)
def test_each_fault_is_found(fault: str) -> None:
    """Each rule of the standard, broken alone, is reported."""
    ((path, value),) = BAD[fault].items()
    found = violations(changed(GOOD, path, value))
    assert any(fault in each for each in found), found


@pytest.mark.parametrize("replicas", [1, 3])
def test_the_operator_is_restricted(helm: Helm, replicas: int) -> None:
    """The operator's pod passes, has a read-only root and does not run as root."""
    objects = helm.objects(f"--set=operator.replicas={replicas}")
    template = one(objects, "Deployment", "modelops-operator")["spec"]["template"]
    (container,) = template["spec"]["containers"]
    assert violations(template) == []
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert template["spec"]["securityContext"]["runAsUser"] == 10001


def test_a_pod_that_is_evicted_has_a_stand_in(helm: Helm) -> None:
    """With more than one replica a budget keeps one; with one it would only block drains."""

    def budgets(*options: str) -> set[str]:
        found = of_kind(helm.objects(*options), "PodDisruptionBudget")
        return {each["metadata"]["name"] for each in found}

    assert budgets() == {"modelops-gateway"}
    both = budgets("--set=operator.replicas=2", "--set=gateway.replicas=1")
    assert both == {"modelops-operator"}


def examples() -> list[Any]:
    """Return the models of manifests/examples that have pods at once."""
    files = sorted((ROOT / "manifests" / "examples").glob("*.yaml"))
    found = [d for f in files for d in yaml.safe_load_all(f.read_text(encoding="utf-8"))]
    return [d for d in found if d["kind"] in KINDS and "quantization" not in d["spec"]]


@pytest.mark.parametrize("example", examples(), ids=lambda document: document["metadata"]["name"])
def test_every_models_pod_is_restricted(example: dict[str, Any]) -> None:
    """The pods of every example pass."""
    names = ("modelops", "vllm", "vllm-cpu", "ray-diffusers", "ray-diffusers-cpu")
    platform = Platform(images={n: f"{n}:1" for n in names}, jobs=Jobs("redis://jobs", "pictures"))
    born = {"namespace": "default", "uid": "1", "generation": 1, **example["metadata"]}
    observed = Observed(KINDS[example["kind"]], {**example, "metadata": born})
    writes = sync(observed, Catalogue(platform=platform), datetime.now(UTC)).writes
    applied = [w.manifest for w in writes if isinstance(w, Apply) and w.manager == "modelops"]
    (deployment,) = [m for m in applied if m["kind"] == DEPLOYMENT.kind]
    assert violations(deployment["spec"]["template"]) == []


def test_the_pods_of_builds_are_restricted() -> None:
    """So are those of the example of a build."""
    text = (ROOT / "manifests" / "examples" / "modelbuild.yaml").read_text(encoding="utf-8")
    example = yaml.safe_load(text)
    born = {"namespace": "default", "uid": "1", "generation": 1, **example["metadata"]}
    observed = ObservedBuild(BUILDS[example["kind"]], {**example, "metadata": born})
    platform = Platform(images={name: f"{name}:1" for name in ("modelops", "llm-compressor")})
    writes = sync_build(observed, platform, datetime.now(UTC)).writes
    (job,) = (w.manifest for w in writes if isinstance(w, Create) and w.manifest["kind"] == "Job")
    assert violations(job["spec"]["template"]) == []
