"""Gathers what one pass sees of an object: reads only."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

from modelops.api.serving import ServingKind
from modelops.cluster import Cluster, ClusterError, Forbidden, NotFound
from modelops.sync.observed import CHILD_TYPES, ChildType, Manifest, Observed, Ref, labels
from modelops.sync.pod import FETCHER
from modelops.sync.replica import ENGINE, Replica

CRASH_LINES: Final = 200
"""Lines of a crashed engine's log: more than its last words in the pod's status hold."""


async def observe(
    cluster: Cluster, kind: ServingKind, ref: Ref, optional: tuple[ChildType, ...] = ()
) -> Observed | None:
    """Return what the cluster holds of an object; None when it is gone or going.

    Children of the optional types are looked for too, where the cluster knows their kind. Raises
    ClusterError when the cluster cannot be read.
    """
    try:
        resource = await cluster.get(ref)
    except NotFound:
        return None
    if "deletionTimestamp" in resource["metadata"]:
        return None
    *found, pods = await asyncio.gather(
        *(_children(cluster, kind, ref, child_type) for child_type in CHILD_TYPES),
        cluster.list("v1", "Pod", ref.namespace, labels(kind, ref.name)),
    )
    extras = {one: await _optional(cluster, kind, ref, one) for one in optional}
    lacking = frozenset(one for one, group in extras.items() if group is None)
    groups = (*found, *(group for group in extras.values() if group))
    children = {Ref.of(child): child for group in groups for child in group}
    progress, logs = await _progress(cluster, pods), await _logs(cluster, pods)
    return Observed(kind, resource, children, tuple(pods), progress, logs, lacking)


async def _optional(
    cluster: Cluster, kind: ServingKind, ref: Ref, child_type: ChildType
) -> list[dict[str, Any]] | None:
    """Return the children of a type whose kind the cluster may lack; None where it does."""
    try:
        return await _children(cluster, kind, ref, child_type)
    except (NotFound, Forbidden):
        return None


async def _children(
    cluster: Cluster, kind: ServingKind, ref: Ref, child_type: ChildType
) -> list[dict[str, Any]]:
    """Return the objects with the model's labels, and the one that has the child's name."""
    listed = await cluster.list(
        child_type.api_version, child_type.kind, ref.namespace, labels(kind, ref.name)
    )
    named = child_type.ref(ref.namespace, ref.name)
    if any(Ref.of(child) == named for child in listed):
        return listed
    try:
        return [*listed, await cluster.get(named)]
    except NotFound:
        return listed


async def _progress(cluster: Cluster, pods: list[dict[str, Any]]) -> Manifest | None:
    """Return the last word of a container that fetches weights, while one does."""
    fetching = next((r for r in map(Replica, pods) if r.fetching and not r.leaving), None)
    if fetching is None:
        return None
    return event(await _tail(cluster, fetching, FETCHER, 1))


async def _logs(cluster: Cluster, pods: list[dict[str, Any]]) -> dict[str, str]:
    """Return the last lines of the youngest engine that crashed; others end the same way."""
    crashed = [r for r in map(Replica, pods) if r.crash and not r.leaving]
    if not crashed:
        return {}
    youngest = max(crashed, key=lambda r: str(r.pod["metadata"].get("creationTimestamp")))
    restarted = "terminated" not in youngest.engine.get("state", {})
    told = await _tail(cluster, youngest, ENGINE, CRASH_LINES, previous=restarted)
    return {youngest.name: told}


async def _tail(
    cluster: Cluster, replica: Replica, container: str, lines: int, *, previous: bool = False
) -> str:
    namespace = replica.pod["metadata"]["namespace"]
    try:
        return await cluster.tail(namespace, replica.name, container, lines, previous=previous)
    except ClusterError:
        return ""  # a log that cannot be read now must not hold up the pass


def event(line: str) -> Mapping[str, Any] | None:
    """Return the JSON object of a line, None when it is none."""
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None
