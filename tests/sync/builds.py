"""Small worlds for laws about builds: ModelBuilds, their Job and its pod, as they are stored."""

import json
from collections.abc import Mapping
from typing import Any

from modelops.api.builds.modelbuild import KIND
from modelops.sync.builds.desired import sync_build
from modelops.sync.builds.job import render_job
from modelops.sync.builds.observed import ObservedBuild
from modelops.sync.builds.plan import plan_build
from modelops.sync.catalogue import Platform
from modelops.sync.desired import Create, Desired, Write
from modelops.sync.observed import Ref
from sync.world import NOW, ago

Json = Any
IMAGES = {name: f"registry.example.com/{name}:1" for name in ("modelops", "llm-compressor")}
PLATFORM = Platform(images=IMAGES)
QUALITY = {"kl": "0.0123", "perplexityBefore": "8.1", "perplexityAfter": "8.3", "agreement": "0.97"}


def build(name: str = "one", *, created: str = ago(hours=1), **spec: Json) -> dict[str, Json]:
    """Return a ModelBuild as the API server holds it."""
    return {
        "apiVersion": "modelops.dev/v1alpha1",
        "kind": "ModelBuild",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "generation": 1,
            "creationTimestamp": created,
        },
        "spec": {"source": {"uri": "pvc://models/tiny"}, "method": "GPTQ", **spec},
    }


def looked(
    resource: Mapping[str, Json],
    *others: Mapping[str, Json],
    pods: tuple[Mapping[str, Json], ...] = (),
    progress: Mapping[str, Json] | None = None,
) -> ObservedBuild:
    """Return what a pass sees; ``others`` are ModelBuilds, Jobs and claims of the namespace."""
    peers = (resource, *(one for one in others if one["kind"] == KIND.name))
    children = {Ref.of(one): one for one in others if one["kind"] != KIND.name}
    return ObservedBuild(KIND, resource, children, peers, pods, progress)


def passed(observed: ObservedBuild, platform: Platform = PLATFORM) -> Desired:
    """Return what a pass at NOW concludes."""
    return sync_build(observed, platform, NOW)


def made(writes: tuple[Write, ...]) -> dict[str, dict[str, Json]]:
    """Return what a pass makes, by kind."""
    created = (write for write in writes if isinstance(write, Create))
    return {str(one.manifest["kind"]): dict(one.manifest) for one in created}


def job(resource: Mapping[str, Json], *others: Mapping[str, Json], end: str = "") -> Json:
    """Return the Job of a ModelBuild as the API server holds it; ``end`` is how it ended."""
    observed = looked(resource, *others)
    manifest = render_job(observed, plan_build(observed, PLATFORM))
    ended = [{"type": end, "status": "True", "reason": "BackoffLimitExceeded", "message": "m"}]
    return {
        **manifest,
        "metadata": {**manifest["metadata"], "uid": "uid-job", "resourceVersion": "1"},
        "status": {"conditions": ended if end else []},
    }


def pod(of: Mapping[str, Json], state: Mapping[str, Json], **status: Json) -> dict[str, Json]:
    """Return the pod of a Job, whose builder is in a state."""
    template = of["spec"]["template"]
    owner = {"kind": "Job", "uid": of["metadata"]["uid"], "controller": True}
    fetched = {
        "exitCode": 0,
        "message": json.dumps({"event": "done", "digest": "abc", "revision": "main", "bytes": 9}),
    }
    return {
        "metadata": {
            **template["metadata"],
            "name": f"{of['metadata']['name']}-x",
            "namespace": "default",
            "ownerReferences": [owner],
        },
        "spec": template["spec"],
        "status": {
            "phase": "Running",
            "initContainerStatuses": [{"name": "weights", "state": {"terminated": fetched}}],
            "containerStatuses": [{"name": "build", "image": "i", "state": state}],
            **status,
        },
    }


def ended(code: int = 0, why: str = "Completed", /, **words: Json) -> dict[str, Json]:
    """Return the state of a builder that ended, with its last words."""
    return {
        "terminated": {
            "exitCode": code,
            "reason": why,
            "message": json.dumps(words) if words else "",
            "startedAt": ago(minutes=11),
            "finishedAt": ago(minutes=1),
        }
    }


def done(**more: Json) -> dict[str, Json]:
    """Return the state of a builder that made its artifact."""
    counts = {"bytesBefore": 2**31, "bytesAfter": 2**29}
    return ended(event="done", reason="Completed", **counts, quality={**QUALITY, **more})


def reported(resource: Mapping[str, Json], desired: Desired) -> dict[str, Json]:
    """Return the object with the status that a pass reports."""
    return {**resource, "status": desired.status}


def condition(desired: Desired, kind: str) -> Mapping[str, Json]:
    """Return one condition of the status that a pass reports."""
    return next(c for c in desired.status["conditions"] if c["type"] == kind)
