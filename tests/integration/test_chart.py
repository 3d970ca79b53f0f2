"""The chart on a real API server: it installs, upgrades, leaves, and its pods are let in."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chart.helm import CHART, NAMESPACE, Helm
from chart.test_security import BAD, GOOD, changed
from chart.tools import binaries
from e2e.cluster.apiserver import ControlPlane
from integration.api import Api, Refusal
from modelops.api.base import API_VERSION
from modelops.api.kinds import KINDS

OPERATOR = {
    "Impersonate-User": f"system:serviceaccount:{NAMESPACE}:modelops-operator",
    "Impersonate-Group": f"system:serviceaccounts:{NAMESPACE}",
}
REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
VARIANTS = {
    "default": (),
    "several": ("--set=operator.replicas=3",),
    "own-account": ("--set=serviceAccount.create=false", "--set=serviceAccount.name=mine"),
}


@dataclass(frozen=True)
class Release:
    """The chart's release on a cluster."""

    kubeconfig: Path

    def helm(self, *command: str) -> str:
        """Run helm; raises with its words when it fails."""
        return self._run("helm", *command, f"--namespace={NAMESPACE}")

    def kubectl(self, *command: str, stdin: str = "") -> str:
        """Run kubectl; raises with its words when it fails."""
        return self._run("kubectl", *command, stdin=stdin)

    def generation(self) -> int:
        """Return how often the operator's Deployment was changed."""
        path = "jsonpath={.metadata.generation}"
        name = "deployment/modelops-operator"
        return int(self.kubectl("get", name, f"--namespace={NAMESPACE}", f"--output={path}"))

    def upgrade(self, *options: str) -> None:
        """Install the chart, or bring it to other values; CRDs that are there are taken over."""
        always = ("--install", "--create-namespace", "--take-ownership")
        self.helm("upgrade", "modelops", str(CHART), *always, *options)

    def _run(self, tool: str, *command: str, stdin: str = "") -> str:
        done = subprocess.run(
            [str(binaries() / tool), f"--kubeconfig={self.kubeconfig}", *command],
            check=False,
            capture_output=True,
            text=True,
            input=stdin,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout


@pytest.fixture(scope="module")
def release(control_plane: ControlPlane, api: Api) -> Iterator[Release]:  # noqa: ARG001
    """The chart, installed over CRDs that were there before."""
    found = Release(Path(control_plane.kubeconfig))
    found.upgrade()
    yield found
    found.helm("uninstall", "modelops", "--ignore-not-found")


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_api_server_knows_every_field(release: Release, variant: str) -> None:
    """Strict validation finds no unknown or doubled field in what the chart renders."""
    rendered = Helm(binaries() / "helm").text(*VARIANTS[variant])
    release.kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict",
        "--filename=-", stdin=rendered,
    )  # fmt: skip


def test_only_changed_values_roll_the_operator(release: Release) -> None:
    """An upgrade with the same values leaves the Deployment alone, other values change it."""
    release.upgrade()
    before = release.generation()
    release.upgrade()
    assert release.generation() == before
    release.upgrade("--set=accelerator=")
    assert release.generation() == before + 1
    release.upgrade()


@pytest.mark.parametrize(
    ("verb", "what", "namespace", "allowed"),
    [
        ("list", "modelops.dev/textmodels", "", True),
        ("patch", "modelops.dev/textmodels/status", "default", True),
        ("patch", "modelops.dev/textmodels", "default", False),
        ("create", "apps/deployments", "default", True),
        ("get", "/secrets", "default", False),
        ("get", "/secrets", NAMESPACE, False),
        ("watch", "/pods", "", False),
        ("get", "/pods/log", "default", True),
        ("update", "coordination.k8s.io/leases:modelops-operator", NAMESPACE, True),
        ("update", "coordination.k8s.io/leases:another", NAMESPACE, False),
        ("get", "coordination.k8s.io/leases:modelops-operator", "default", False),
        ("create", "/pods", "default", False),
        ("delete", "/namespaces", "", False),
        ("impersonate", "/users", "", False),
    ],
)
@pytest.mark.usefixtures("release")
def test_the_operator_may_what_it_needs(
    api: Api,
    verb: str,
    what: str,
    namespace: str,
    allowed: bool,  # noqa: FBT001
) -> None:
    """The API server's own authorizer grants the operator its rights and no others."""
    path, _, name = what.partition(":")
    group, resource, subresource = (*path.split("/"), "")[:3]
    asked = {
        "verb": verb,
        "group": group,
        "resource": resource,
        "subresource": subresource,
        "namespace": namespace,
        "name": name,
    }
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    body = {**review, "spec": {"resourceAttributes": asked}}
    assert api.raw("POST", REVIEW, body, headers=OPERATOR)["status"]["allowed"] == allowed


def test_models_survive_an_uninstall(release: Release, namespace: str) -> None:
    """Uninstalling takes the operator and leaves CRDs and models; installing again finds them."""
    model = {
        "apiVersion": API_VERSION,
        "kind": next(iter(KINDS)),
        "metadata": {"name": "kept", "namespace": namespace},
        "spec": {"model": {"uri": "pvc://weights/tiny"}},
    }
    release.kubectl("create", "--filename=-", stdin=json.dumps(model))
    release.helm("uninstall", "modelops")
    everything = release.kubectl("get", "deployments,modelops", "--all-namespaces", "--output=name")
    assert "modelops-operator" not in everything
    assert "/kept\n" in everything
    release.upgrade()
    assert "/kept\n" in release.kubectl("get", "modelops", "--all-namespaces", "--output=name")


@pytest.fixture(scope="module")
def restricted(release: Release) -> str:
    """A namespace that enforces Pod Security `restricted`."""
    name = "restricted"
    release.kubectl("create", "namespace", name)
    release.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    release.kubectl("create", "serviceaccount", "default", f"--namespace={name}")
    return name


def admit(api: Api, namespace: str, template: Mapping[str, Any]) -> None:
    """Ask the API server to let a pod in, for nothing; raises Refusal with its words."""
    whole = deepcopy(dict(template))
    for container in (*whole["spec"]["containers"], *whole["spec"].get("initContainers", [])):
        container.setdefault("image", "example.com/image:1")
    annotations = whole.get("metadata", {}).get("annotations", {})
    meta = {"name": "one", "namespace": namespace, "annotations": annotations}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": whole["spec"]}
    api.create(pod, params={"dryRun": "All"})


def test_the_api_server_lets_a_restricted_pod_in(
    api: Api, release: Release, restricted: str
) -> None:
    """The pod that our own check takes for restricted is let in, and so is the operator's."""
    ours = json.loads(
        release.kubectl("get", "deployment", "modelops-operator", f"-n={NAMESPACE}", "-ojson")
    )
    template = deepcopy(ours["spec"]["template"])
    for name in ("serviceAccount", "serviceAccountName"):
        template["spec"].pop(name, None)
    for pod in (GOOD, template):
        admit(api, restricted, pod)


@pytest.mark.parametrize("fault", BAD)
def test_the_api_server_refuses_what_our_check_finds(api: Api, restricted: str, fault: str) -> None:
    """Each fault that our check finds is one for which the API server keeps the pod out."""
    ((path, value),) = BAD[fault].items()
    with pytest.raises(Refusal, match=r"violates PodSecurity|is invalid"):
        admit(api, restricted, changed(GOOD, path, value))
