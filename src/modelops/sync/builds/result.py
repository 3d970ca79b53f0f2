"""What came of a build: read from its pod's last words, or from what a status keeps."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from modelops.api import conditions as c
from modelops.builders.recipe import as_document
from modelops.sync.builds.gate import measured
from modelops.sync.builds.job import BUILDER
from modelops.sync.builds.plan import BuildPlan
from modelops.sync.observed import Manifest
from modelops.sync.replica import said

Result = Mapping[str, Any]
"""The part of a status that tells what came of a build."""

KEPT: Final = (
    "artifact",
    "bytesBefore",
    "bytesAfter",
    "quality",
    "lineage",
    "seconds",
    "gpuSeconds",
)


def kept(resource: Manifest, plan: BuildPlan) -> Result | None:
    """Return what a status keeps of the build that is planned; None when it knows of none."""
    status = resource.get("status") or {}
    built = c.find(resource, c.BUILT) or {}
    if status.get("digest") != plan.asked.address or built.get("status") != "True":
        return None
    return {name: status[name] for name in KEPT if name in status}


def told(plan: BuildPlan, pods: Iterable[Manifest]) -> Result | None:
    """Return what the pod that ended well says; None while none did."""
    ends = ((pod, _end(pod, "containerStatuses", BUILDER)) for pod in pods)
    good = next(((pod, end) for pod, end in ends if end and end.get("exitCode") == 0), None)
    if good is None:
        return None
    pod, end = good
    return _result(plan, said(end) or {}, _end(pod, "initContainerStatuses", "weights"), end)


def lineage(plan: BuildPlan, fetched: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an artifact is made of; ``fetched`` is what the weights container said."""
    recipe = plan.asked.recipe
    options = as_document(recipe).get("options", {})
    known = {
        name: fetched[key]
        for name, key in (("sourceRevision", "revision"), ("sourceDigest", "digest"))
        if isinstance(fetched.get(key), str)
    }
    return {
        "sourceUri": recipe.source.uri,
        **known,
        "builder": recipe.builder,
        "builderImage": recipe.builder_image,
        "method": recipe.method,
        "options": json.dumps(options, sort_keys=True),
    }


def _result(
    plan: BuildPlan, words: Mapping[str, Any], fetch: Mapping[str, Any], end: Mapping[str, Any]
) -> Result:
    seconds = _seconds(end)
    accelerators = plan.accelerator.count if plan.accelerator else 0
    counts = {name: words.get(name) for name in ("bytesBefore", "bytesAfter")}
    quality = measured(words.get("quality"))
    return {
        "artifact": plan.artifact,
        **{name: count for name, count in counts.items() if type(count) is int and count >= 0},
        **({"quality": quality} if quality else {}),
        "lineage": lineage(plan, said(fetch) or {}),
        "seconds": seconds,
        "gpuSeconds": seconds * accelerators,
    }


def _end(pod: Manifest, group: str, name: str) -> Mapping[str, Any]:
    """Return how a container of a pod ended; empty if it did not."""
    listed = (pod.get("status") or {}).get(group) or []
    found: Mapping[str, Any] = next((c for c in listed if c["name"] == name), {})
    return found.get("state", {}).get("terminated") or {}


def _seconds(end: Mapping[str, Any]) -> int:
    try:
        began, ended = (datetime.fromisoformat(end[k]) for k in ("startedAt", "finishedAt"))
    except (KeyError, TypeError, ValueError):
        return 0
    return max(0, round((ended - began).total_seconds()))
