"""Small worlds for laws about the core: a model, what the cluster holds of it, its pods."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from modelops.api.kinds import KINDS
from modelops.sync.catalogue import Catalogue, Platform
from modelops.sync.desired import INTENT, Apply, Desired, sync
from modelops.sync.observed import DEPLOYMENT, Observed, Ref

Json = Any
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
UID = "11111111-2222-3333-4444-555555555555"
IMAGES = {
    name: f"registry.example.com/{name}:1" for name in ("modelops", "vllm", "vllm-cpu", "llama-cpp")
}
CATALOGUE = Catalogue(platform=Platform(images=IMAGES))


def ago(**past: float) -> str:
    """Return the time that long before NOW, as the API writes it."""
    return (NOW - timedelta(**past)).strftime("%Y-%m-%dT%H:%M:%SZ")


def model(name: str = "tiny", generation: int = 1, **spec: Json) -> dict[str, Json]:
    """Return a TextModel; without more it serves pvc://models/tiny-llama."""
    return {
        "apiVersion": "modelops.dev/v1alpha1",
        "kind": "TextModel",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": UID,
            "generation": generation,
        },
        "spec": {"model": {"uri": "pvc://models/tiny-llama"}, **spec},
    }


def seen(
    resource: Mapping[str, Json],
    *children: Mapping[str, Json],
    pods: tuple[Mapping[str, Json], ...] = (),
    progress: Mapping[str, Json] | None = None,
) -> Observed:
    """Return what a pass sees."""
    by_ref = {Ref.of(child): child for child in children}
    return Observed(KINDS[resource["kind"]], resource, by_ref, pods, progress)


def passed(observed: Observed, catalogue: Catalogue = CATALOGUE) -> Desired:
    """Return what a pass at NOW concludes."""
    return sync(observed, catalogue, NOW)


def manifests(resource: Mapping[str, Json]) -> dict[str, dict[str, Json]]:
    """Return the children that a model gets on an empty cluster, by kind."""
    writes = passed(seen(resource)).writes
    applied = (w for w in writes if isinstance(w, Apply) and w.manager == INTENT)
    return {str(a.manifest["kind"]): dict(a.manifest) for a in applied}


def deployment(
    resource: Mapping[str, Json], *, replicas: int = 1, generation: int = 1, **status: Json
) -> dict[str, Json]:
    """Return a model's Deployment as the API server holds it, settled unless status says more."""
    manifest = manifests(resource)[DEPLOYMENT.kind]
    settled = {"observedGeneration": generation, "replicas": replicas, "updatedReplicas": replicas}
    return {
        **manifest,
        "metadata": {**manifest["metadata"], "uid": "d", "generation": generation},
        "spec": {**manifest["spec"], "replicas": replicas},
        "status": settled | status,
    }


def pod(
    resource: Mapping[str, Json],
    status: Mapping[str, Json] | str,
    name: str = "tiny-1",
    **meta: Json,
) -> dict[str, Json]:
    """Return a pod of a model's present version; the status is a mapping or YAML."""
    template = manifests(resource)[DEPLOYMENT.kind]["spec"]["template"]
    metadata = {**template["metadata"], "name": name, "namespace": "default", **meta}
    told = yaml.safe_load(status) if isinstance(status, str) else status
    return {"metadata": metadata, "spec": template["spec"], "status": told}


def condition(desired: Desired, kind: str) -> Mapping[str, Json]:
    """Return one condition of the status that a pass reports."""
    return next(c for c in desired.status["conditions"] if c["type"] == kind)


WEIGHTS_DONE = {
    "name": "weights",
    "state": {
        "terminated": {
            "exitCode": 0,
            "reason": "Completed",
            "message": '{"event": "done", "digest": "abc", "bytes": 2048, "source": "claim"}',
            "startedAt": ago(minutes=30),
            "finishedAt": ago(minutes=29),
        }
    },
}


def running(*, ready: bool = True, since: str = ago(minutes=29), **more: Json) -> dict[str, Json]:
    """Return the status of a pod whose engine runs."""
    engine = {
        "name": "engine",
        "image": IMAGES["vllm-cpu"],
        "ready": ready,
        "started": ready,
        "restartCount": 0,
        "state": {"running": {"startedAt": since}},
    }
    answers = {"type": "Ready", "status": str(ready), "lastTransitionTime": ago(minutes=30)}
    return {
        "phase": "Running",
        "conditions": [{"type": "PodScheduled", "status": "True"}, answers],
        "initContainerStatuses": [WEIGHTS_DONE],
        "containerStatuses": [engine | more],
    }
