"""KEDA on the local cluster: built from its Go module, installed and removed on demand."""

import json
import os
from dataclasses import dataclass
from typing import Any, Final

from e2e.cluster import golang
from e2e.cluster.containerd import load_missing
from e2e.cluster.image import ScratchImage
from e2e.cluster.local import LocalCluster
from e2e.cluster.places import Places
from e2e.cluster.shell import step

NAMESPACE: Final = "keda"
OPERATOR: Final = "keda-operator"
ADAPTER: Final = "keda-metrics-apiserver"
APISERVICE: Final = "v1beta1.external.metrics.k8s.io"
BINARIES: Final = {"keda": golang.KEDA, "keda-metrics-apiserver": golang.KEDA_ADAPTER}
"""By the names of the images in KEDA's manifests."""

FINALIZED: Final = ("scaledobjects", "scaledjobs")
"""Kinds whose objects KEDA must let go; it can only while it has all of its other kinds."""

NOBODY: Final = 65532
PROBE: Final = {"initialDelaySeconds": 1, "periodSeconds": 1}


@dataclass(frozen=True, slots=True)
class Keda:
    """KEDA's operator and metrics adapter, as its own `config/minimal` has them.

    That is without admission webhooks, which only check what a person writes.
    """

    cluster: LocalCluster

    def up(self) -> None:
        """Install it and wait until it scales and its metrics API answers; quick when it does."""
        places = self.cluster.places
        golang.build(tuple(BINARIES.values()), places.store, places.bin)
        load_missing(places, scratch_images(places))
        with step("installing KEDA"):
            options = ("--server-side", "--force-conflicts", "--filename=-")
            self.cluster.kubectl("apply", *options, stdin=self._manifests())
        with step("waiting for KEDA"):
            self._wait()

    def down(self) -> None:
        """Remove it; what it scales goes first, while it runs: it alone takes finalizers away."""
        with step("removing KEDA"):
            gone = ("--ignore-not-found", "--wait", "--timeout=120s")
            kinds = (f"{kind}.keda.sh" for kind in FINALIZED)
            self.cluster.kubectl("delete", "crd", *kinds, *gone)
            self.cluster.kubectl("delete", "--filename=-", *gone, stdin=self._manifests())

    def _manifests(self) -> str:
        places = self.cluster.places
        source = golang.source("keda", golang.KEDA.package.split("/cmd/")[0], places.store)
        folder = places.config / "keda"
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(kustomization(os.path.relpath(source / "config" / "minimal", folder)))
        (folder / "kustomization.yaml").write_text(text)
        return self.cluster.kubectl("kustomize", str(folder))

    def _wait(self) -> None:
        where = ("--namespace", NAMESPACE, "--timeout=180s")
        for name in (OPERATOR, ADAPTER):
            self.cluster.kubectl("rollout", "status", f"deployment/{name}", *where)
        available = ("--for=condition=Available", "--timeout=60s")
        self.cluster.kubectl("wait", f"apiservice/{APISERVICE}", *available)


def scratch_images(places: Places) -> tuple[ScratchImage, ...]:
    """The images, each of nothing but its binary and a folder for temporary files."""
    return tuple(
        ScratchImage(
            ":".join(_image(binary)),
            {f"/{binary.name}": golang.stored(binary, places.store)},
            (f"/{binary.name}",),
        )
        for binary in BINARIES.values()
    )


def _image(binary: golang.Binary) -> tuple[str, str]:
    return f"localhost/{binary.name}", f"{binary.version}-{golang.recipe(binary)}"


def kustomization(base: str) -> dict[str, Any]:
    """What is different here: our images, who they run as, and probes that lose no time."""
    container = "/spec/template/spec/containers/0"
    shared = [
        _set(f"{container}/imagePullPolicy", "IfNotPresent"),
        _set("/spec/template/spec/securityContext/runAsUser", NOBODY),
        *(_set(f"{container}/readinessProbe/{key}", value) for key, value in PROBE.items()),
    ]
    no_webhooks = [_set(f"{container}/args/-", "--enable-webhook-patching=false")]
    return {
        "resources": [base],
        "images": [
            {"name": f"ghcr.io/kedacore/{name}", "newName": image, "newTag": tag}
            for name, binary in BINARIES.items()
            for image, tag in (_image(binary),)
        ],
        "patches": [
            {"target": {"kind": "Deployment"}, "patch": json.dumps(shared)},
            {
                "target": {"kind": "Deployment", "name": OPERATOR},
                "patch": json.dumps(no_webhooks),
            },
        ],
    }


def _set(path: str, value: Any) -> dict[str, Any]:
    return {"op": "add", "path": path, "value": value}
