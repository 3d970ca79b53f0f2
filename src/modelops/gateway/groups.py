"""What answers to a route's name: models that share its requests, and those that stand in.

A chain is one cluster of Envoy's kind `composite`: its first attempt goes to the first model on its
list that has a replica to choose, each retry to the next on the list.
"""

from collections.abc import Iterator
from typing import Final

from modelops.gateway.clusters import CONNECT_SECONDS, no_limits
from modelops.gateway.snapshot import Model, Route, Target
from modelops.gateway.typed import Json, extension, typed

_COMPOSITE: Final = "envoy.extensions.clusters.composite.v3.ClusterConfig"


def chains(route: Route) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the clusters that a route needs besides those of its models: their names and members.

    A member is the cluster that an attempt goes to, in their order.
    """
    if not route.fallback:
        return
    longest = attempts(route)
    for target in shares(route):
        order = _order(target.model, route)
        padded = order + order[-1:] * (longest - len(order))
        yield _name(route, target), tuple(model.cluster for model in padded)


def destination(route: Route) -> Json | None:
    """Return the fields of an Envoy route that leads there; None when there is no such model.

    What belongs together stays with one target, where a model asks for that.
    """
    found = [(_cluster(route, target), target.weight) for target in shares(route)]
    if len(found) < 2:
        return {"cluster": found[0][0]} if found else None
    weighted = [{"name": name, "weight": weight} for name, weight in found]
    keyed = any(model.session_header for model in route.models)
    return {"weighted_clusters": {"clusters": weighted, "use_hash_policy": keyed}}


def shares(route: Route) -> tuple[Target, ...]:
    """Return the models that get requests first; without one, the first that stands in."""
    used = tuple(target for target in route.targets if target.weight)
    return used or tuple(Target(model) for model in route.fallback[:1])


def attempts(route: Route) -> int:
    """Return how often a request may be tried in all, as long as no engine has seen it."""
    return max((len(_order(t.model, route)) for t in shares(route)), default=1)


def _order(first: Model, route: Route) -> list[Model]:
    """Return which model each attempt is for: twice the same where there are two replicas."""
    chain = [first, *(model for model in route.fallback if model != first)]
    return [model for model in chain for _ in model.endpoints[:2] or (None,)]


def _cluster(route: Route, target: Target) -> str:
    return _name(route, target) if route.fallback else target.model.cluster


def _name(route: Route, target: Target) -> str:
    return f"{route.namespace}.{route.name}/{target.model.name}"


def composite(name: str, clusters: tuple[str, ...]) -> Json:
    """Return such a cluster."""
    members = [{"name": cluster} for cluster in clusters]
    return typed(
        "envoy.config.cluster.v3.Cluster",
        name=name,
        cluster_type=extension("envoy.clusters.composite", _COMPOSITE, clusters=members),
        lb_policy="CLUSTER_PROVIDED",
        connect_timeout=f"{CONNECT_SECONDS}s",
        circuit_breakers=no_limits(),
    )
