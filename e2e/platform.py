"""Everything a story stands on: a cluster, the images in its registry, the chart installed."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e import depot
from e2e.cluster.node import REGISTRY
from e2e.cluster.places import Places
from e2e.cluster.shell import step
from e2e.images.recipe import key
from e2e.kube import Kube, KubeError

ROOT = Path(__file__).parent.parent
SYSTEM_NAMESPACE = "modelops-system"
CHART = ROOT / "charts" / "modelops"
GATEWAY = "modelops-gateway"
"""The gateway's Service."""

NAMES = (
    "modelops",
    "envoy",
    "redis",
    "vllm-cpu",
    "llm-compressor",
    "diffusers-builder",
    "onnx-builder",
    "ray-diffusers-cpu",
    "llama-cpp",
    "llama-cpp-builder",
)


@dataclass(frozen=True)
class Platform:
    """A cluster that runs modelops, and the references of the images it runs."""

    kube: Kube
    images: dict[str, str]


def platform() -> Platform:
    """Return the platform, having built and started what is missing; quick when nothing is."""
    kube, images = _given() if os.environ.get("MODELOPS_CONTEXT") else _local()
    with step("install the chart"):
        _install(kube, images)
    return Platform(kube, images)


def _given() -> tuple[Kube, dict[str, str]]:
    """Return the user's own cluster; the images are pulled from where MODELOPS_IMAGES says."""
    prefix = os.environ.get("MODELOPS_IMAGES")
    if not prefix:
        sys.exit(
            "MODELOPS_CONTEXT names your cluster, but MODELOPS_IMAGES does not say where it finds "
            "the images: set it to a registry and path, such as registry.example.com/modelops, "
            "after `python3 -m e2e.images push --registry registry.example.com`"
        )
    kubectl, helm = shutil.which("kubectl"), shutil.which("helm")
    if not kubectl or not helm:
        sys.exit("MODELOPS_CONTEXT needs kubectl and helm on the PATH: install them first")
    images = {name: f"{prefix.rstrip('/')}/{name}:{key(name)}" for name in NAMES}
    return Kube(kubectl, helm, context=os.environ["MODELOPS_CONTEXT"]), images


def _local() -> tuple[Kube, dict[str, str]]:
    """Return the local cluster, built and started, with the images in its registry."""
    _module("e2e.cluster", "up")
    references = ROOT / "build" / "images.json"
    references.parent.mkdir(exist_ok=True)
    _module("e2e.images", "push", "--registry", REGISTRY, "--out", str(references))
    places = Places.of_environment()
    kubectl, helm = places.bin / "kubectl", places.bin / "helm"
    kube = Kube(str(kubectl), str(helm), kubeconfig=places.kubeconfig)
    return kube, json.loads(references.read_text())


def _install(kube: Kube, images: dict[str, str]) -> None:
    """Install the chart with these images, unless that is what is installed."""
    values = {
        "images": {name: images[name] for name in NAMES},
        "accelerator": "",
        "networkPolicy": {"models": False},  # stories call models' own Services, too
        **_jobs(kube, images),
    }
    digest = _digest(values)
    if _installed(kube) == digest:
        return
    file = ROOT / "build" / "values.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(values))
    kube.apply(namespace(SYSTEM_NAMESPACE))
    try:
        kube.run_helm(
            "upgrade", "--install", "modelops", str(CHART), "--namespace", SYSTEM_NAMESPACE,
            "--values", str(file), "--description", digest, "--wait", "--timeout", "300s",
        )  # fmt: skip
    except KubeError as error:
        pods = kube.run("get", "pods", "-n", SYSTEM_NAMESPACE)
        hint = f"look with `kubectl describe pods -n {SYSTEM_NAMESPACE}`"
        raise KubeError(f"{error}\n{pods}{hint}") from error


def _jobs(kube: Kube, images: dict[str, str]) -> dict[str, Any]:
    """Return where jobs are, started on the local cluster; on a user's own there is nothing."""
    if os.environ.get("MODELOPS_CONTEXT"):
        return {}
    kube.apply(depot.manifests(images["redis"]))
    kube.apply([namespace(SYSTEM_NAMESPACE)])
    kube.apply(depot.secret(), namespace=SYSTEM_NAMESPACE)
    return {"jobs": depot.VALUES}


def namespace(name: str) -> dict[str, Any]:
    """Return a namespace that enforces Pod Security `restricted`."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _digest(values: dict[str, Any]) -> str:
    """Return the content address of the chart and its values."""
    digest = hashlib.sha256(json.dumps(values, sort_keys=True).encode())
    for file in sorted(path for path in CHART.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(CHART)}\0".encode() + file.read_bytes())
    return digest.hexdigest()


def _installed(kube: Kube) -> str | None:
    """Return the digest that the release in the cluster was installed with."""
    listed = ["list", "-n", SYSTEM_NAMESPACE, "--deployed", "-o", "json"]
    if not json.loads(kube.run_helm(*listed)):
        return None
    history = ["history", "modelops", "-n", SYSTEM_NAMESPACE, "--max", "1", "-o", "json"]
    (newest,) = json.loads(kube.run_helm(*history))
    return str(newest["description"])


def _module(*args: str) -> None:
    subprocess.run([sys.executable, "-m", *args], cwd=ROOT, check=True)
