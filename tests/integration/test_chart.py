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
from modelops.api.base import API_VERSION
from modelops.api.kinds import KINDS

SUBJECT = f"--as=system:serviceaccount:{NAMESPACE}:modelops-operator"
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
def release(control_plane: ControlPlane, api: object) -> Iterator[Release]:  # noqa: ARG001
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
    ("question", "answer"),
    [
        (("list", "textmodels", "--all-namespaces"), "yes"),
        (("patch", "textmodels", "--subresource=status", "--namespace=default"), "yes"),
        (("patch", "textmodels", "--namespace=default"), "no"),
        (("create", "deployments.apps", "--namespace=default"), "yes"),
        (("get", "secrets", "--namespace=default"), "no"),
        (("get", "secrets", f"--namespace={NAMESPACE}"), "no"),
        (("watch", "pods", "--all-namespaces"), "no"),
        (("get", "pods", "--subresource=log", "--namespace=default"), "yes"),
        (("update", "leases.coordination.k8s.io/modelops-operator", f"-n={NAMESPACE}"), "yes"),
        (("update", "leases.coordination.k8s.io/another", f"-n={NAMESPACE}"), "no"),
        (("get", "leases.coordination.k8s.io/modelops-operator", "-n=default"), "no"),
        (("create", "pods", "--namespace=default"), "no"),
        (("delete", "namespaces"), "no"),
        (("impersonate", "users"), "no"),
    ],
)
def test_the_operator_may_what_it_needs(
    release: Release, question: tuple[str, ...], answer: str
) -> None:
    """The API server's own authorizer grants the operator its rights and no others."""
    # kubectl exits with 1 when the answer is no.
    command = ["auth", "can-i", *question, SUBJECT, f"--kubeconfig={release.kubeconfig}"]
    asked = subprocess.run(
        [str(binaries() / "kubectl"), *command], check=False, capture_output=True, text=True
    )
    assert asked.stdout.strip() == answer, asked.stderr


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


def admitted(release: Release, namespace: str, template: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether the API server would let a pod in, and its words."""
    whole = deepcopy(dict(template))
    for container in (*whole["spec"]["containers"], *whole["spec"].get("initContainers", [])):
        container.setdefault("image", "example.com/image:1")
    meta = {"name": "one", "annotations": whole.get("metadata", {}).get("annotations", {})}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": whole["spec"]}
    asked = subprocess.run(
        [
            str(binaries() / "kubectl"), f"--kubeconfig={release.kubeconfig}", "create",
            f"--namespace={namespace}", "--dry-run=server", "--filename=-",
        ],
        check=False,
        capture_output=True,
        text=True,
        input=json.dumps(pod),
    )  # fmt: skip
    return asked.returncode == 0, asked.stderr


def test_the_api_server_lets_a_restricted_pod_in(release: Release, restricted: str) -> None:
    """The pod that our own check takes for restricted is let in, and so is the operator's."""
    ours = json.loads(
        release.kubectl("get", "deployment", "modelops-operator", f"-n={NAMESPACE}", "-ojson")
    )
    template = deepcopy(ours["spec"]["template"])
    for name in ("serviceAccount", "serviceAccountName"):
        template["spec"].pop(name, None)
    for pod in (GOOD, template):
        let_in, words = admitted(release, restricted, pod)
        assert let_in, words


@pytest.mark.parametrize("fault", BAD)
def test_the_api_server_refuses_what_our_check_finds(
    release: Release, restricted: str, fault: str
) -> None:
    """Each fault that our check finds is one for which the API server keeps the pod out."""
    ((path, value),) = BAD[fault].items()
    assert not admitted(release, restricted, changed(GOOD, path, value))[0]
