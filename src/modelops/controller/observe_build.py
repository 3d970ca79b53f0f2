"""Gathers what one pass sees of a ModelBuild: reads only."""

import asyncio
from typing import Any, Final

from modelops.api.kind import Kind
from modelops.cluster import Cluster, ClusterError, NotFound
from modelops.controller.observe import event
from modelops.sync.builds.asked import asked
from modelops.sync.builds.job import BUILDER
from modelops.sync.builds.observed import CLAIM, JOB, STORE, ObservedBuild, build_labels
from modelops.sync.catalogue import Platform
from modelops.sync.observed import Manifest, Ref
from modelops.sync.pod import FETCHER
from modelops.sync.refusal import Refusal

_CONTAINERS: Final = (("containerStatuses", BUILDER), ("initContainerStatuses", FETCHER))


async def observe_build(
    cluster: Cluster, kind: Kind, ref: Ref, platform: Platform
) -> ObservedBuild | None:
    """Return what the cluster holds of a ModelBuild; None when it is gone or going.

    Raises ClusterError when the cluster cannot be read.
    """
    try:
        resource = await cluster.get(ref)
    except NotFound:
        return None
    if "deletionTimestamp" in resource["metadata"]:
        return None
    peers, jobs, claim = await asyncio.gather(
        cluster.list(ref.api_version, ref.kind, ref.namespace, {}),
        cluster.list(*JOB, ref.namespace, build_labels()),
        _claim(cluster, ref.namespace),
    )
    # After the Jobs: of one that is seen complete, the pod's last words are there to be seen.
    pods = await _pods(cluster, kind, resource, platform)
    children = {Ref.of(one): one for one in (*jobs, *claim)}
    progress = await _progress(cluster, pods)
    return ObservedBuild(kind, resource, children, tuple(peers), tuple(pods), progress)


async def _pods(
    cluster: Cluster, kind: Kind, resource: Manifest, platform: Platform
) -> list[dict[str, Any]]:
    """Return the pods that make what the object asks for; none of one that is refused."""
    try:
        address = asked(kind, resource, platform).address
    except Refusal:
        return []
    namespace = str(resource["metadata"]["namespace"])
    return await cluster.list("v1", "Pod", namespace, build_labels(address))


async def _claim(cluster: Cluster, namespace: str) -> list[dict[str, Any]]:
    try:
        return [await cluster.get(Ref(*CLAIM, namespace, STORE))]
    except NotFound:
        return []


async def _progress(cluster: Cluster, pods: list[dict[str, Any]]) -> Manifest | None:
    """Return the last word of a container that is at work."""
    for pod in pods:
        for group, name in _CONTAINERS:
            if _running(pod, group, name):
                return event(await _last_line(cluster, pod, name))
    return None


def _running(pod: Manifest, group: str, name: str) -> bool:
    listed = (pod.get("status") or {}).get(group) or []
    return any(c["name"] == name and "running" in (c.get("state") or {}) for c in listed)


async def _last_line(cluster: Cluster, pod: Manifest, container: str) -> str:
    meta = pod["metadata"]
    try:
        return await cluster.tail(meta["namespace"], meta["name"], container, 1)
    except ClusterError:
        return ""  # a log that cannot be read now must not hold up the pass
