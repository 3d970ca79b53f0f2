"""The chain from a model that is not Ready down to the container that is the cause."""

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.tree import Tree

from modelops.api import conditions as c
from modelops.runtimes.runtime import Runtime
from modelops.sync.diagnosis import diagnose
from modelops.sync.observed import DEPLOYMENT, Observed
from modelops.sync.replica import Replica, replicas


def chain(observed: Observed, runtime: Runtime | None) -> Tree:
    """Return the causes as a tree: the model, its conditions, its Deployment, pods, containers."""
    tree = Tree(f"[bold]{observed.kind.name} {observed.namespace}/{observed.name}[/bold]")
    for condition in _told(observed):
        tree.add(_condition(condition))
    _scaled(tree, observed)
    _deployment(tree, observed, runtime)
    return tree


def _scaled(tree: Tree, observed: Observed) -> None:
    """Add the last change of replicas, and what caused it."""
    told = (observed.resource.get("status") or {}).get("lastScale")
    if told:
        counts = f"{told['replicasBefore']} -> {told['replicas']} replicas by {told['metric']}"
        tree.add(escape(f"scaled {counts} at {told['time']}: {told['message']}"))


def _told(observed: Observed) -> list[Mapping[str, Any]]:
    types = (c.READY, c.ACCEPTED, c.WEIGHTS_READY, c.AVAILABLE, c.SCALING_ACTIVE)
    found = (c.find(observed.resource, kind) for kind in types)
    return [one for one in found if one and one["reason"] != "Fixed"]


def _condition(condition: Mapping[str, Any]) -> str:
    color = {"True": "green", "False": "red"}.get(condition["status"], "yellow")
    head = f"[{color}]{condition['type']} {condition['status']}[/{color}] {condition['reason']}"
    return f"{head} since {condition['lastTransitionTime']}\n{escape(condition['message'])}"


def _deployment(tree: Tree, observed: Observed, runtime: Runtime | None) -> None:
    deployment = observed.child(DEPLOYMENT)
    if deployment is None:
        tree.add(f"no Deployment {observed.name}")
        return
    wanted = deployment["spec"].get("replicas", 1)
    ready = deployment.get("status", {}).get("readyReplicas", 0)
    branch = tree.add(f"Deployment {observed.name}: {ready} of {wanted} replicas are ready")
    for replica in replicas(observed):
        _pod(branch, replica, runtime)


def _pod(branch: Tree, replica: Replica, runtime: Runtime | None) -> None:
    phase = "Ready" if replica.ready else replica.status.get("phase", "Unknown")
    node = branch.add(f"Pod {replica.name}: {phase}, version {replica.revision}")
    for container in replica.containers:
        node.add(escape(_container(container)))
    cause = diagnose(replica, runtime) if runtime else None
    if cause:
        node.add(f"[red]{cause.reason}[/red]: {escape(cause.message)}")
        node.add(f"[bold]next[/bold]: {escape(cause.action)}")


def _container(container: Mapping[str, Any]) -> str:
    (state, detail), *_ = container.get("state", {}).items() or [("unknown", {})]
    told = [state, *(str(detail[key]) for key in ("reason", "exitCode") if key in detail)]
    restarts = container.get("restartCount", 0)
    again = f", {restarts} restarts" if restarts else ""
    return f"container {container['name']}: {' '.join(told)}{again}"
