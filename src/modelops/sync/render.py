"""From a plan to the manifests of a model's children."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from modelops.api.base import API_VERSION
from modelops.api.parts import Rollout
from modelops.sync.attachment import pool, route
from modelops.sync.catalogue import GatewayApi
from modelops.sync.keda import annotations, scaled_object, trigger_secret
from modelops.sync.observed import (
    BUDGET,
    BUILD,
    CLAIM,
    DEPLOYMENT,
    NETWORK,
    POOL,
    ROUTE,
    SCALED_OBJECT,
    SERVICE,
    TRIGGER_SECRET,
    ChildType,
    Observed,
    labels,
)
from modelops.sync.plan import Plan
from modelops.sync.pod import pod_template


def render(observed: Observed, plan: Plan) -> tuple[dict[str, Any], ...]:
    """Return the children in the order in which they are applied; none has ``spec.replicas``."""
    return tuple(_child(child_type, observed, plan) for child_type in plan.children)


def _child(child_type: ChildType, observed: Observed, plan: Plan) -> dict[str, Any]:
    return {
        "apiVersion": child_type.api_version,
        "kind": child_type.kind,
        "metadata": {
            "name": observed.name + child_type.suffix,
            "namespace": observed.namespace,
            "labels": _all_labels(observed, plan),
            **_annotations(child_type, plan),
            "ownerReferences": [_owner(observed)],
        },
        "spec": _spec(child_type, observed, plan),
    }


def _annotations(child_type: ChildType, plan: Plan) -> dict[str, Any]:
    given = annotations(plan.spec.scaling) if child_type == SCALED_OBJECT else {}
    return {"annotations": dict(given)} if given else {}


def _spec(child_type: ChildType, observed: Observed, plan: Plan) -> dict[str, Any]:
    if child_type.kind == TRIGGER_SECRET.kind:
        return trigger_secret(plan.spec.scaling, child_type)
    return _SPECS[child_type](observed, plan)


def _all_labels(observed: Observed, plan: Plan) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": "modelops",
        "app.kubernetes.io/name": plan.runtime.name,
        "app.kubernetes.io/instance": observed.name,
        **labels(observed.kind, observed.name),
    }


def _owner(observed: Observed) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": observed.kind.name,
        "name": observed.name,
        "uid": observed.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _claim(_: Observed, plan: Plan) -> dict[str, Any]:
    return dict(plan.claim or {})


def _build(_: Observed, plan: Plan) -> dict[str, Any]:
    return dict(plan.build or {})


def _service(observed: Observed, _: Plan) -> dict[str, Any]:
    port = {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}
    return {"selector": labels(observed.kind, observed.name), "ports": [port]}


def _deployment(observed: Observed, plan: Plan) -> dict[str, Any]:
    rollout = plan.spec.rollout
    return {
        "selector": {"matchLabels": labels(observed.kind, observed.name)},
        "strategy": _strategy(rollout),
        "progressDeadlineSeconds": rollout.progress_deadline_seconds,
        "revisionHistoryLimit": 3,
        "template": pod_template(observed, plan, _all_labels(observed, plan)),
    }


def _strategy(rollout: Rollout) -> dict[str, Any]:
    surge = {"rollingUpdate": {"maxSurge": rollout.max_surge or 1, "maxUnavailable": 0}}
    return {"type": rollout.strategy, **(surge if rollout.strategy == "RollingUpdate" else {})}


def _budget(observed: Observed, _: Plan) -> dict[str, Any]:
    """Return a budget that lets nodes drain; a replica that is broken anyway never stops that."""
    return {
        "maxUnavailable": 1,
        "selector": {"matchLabels": labels(observed.kind, observed.name)},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }


def _network(observed: Observed, plan: Plan) -> dict[str, Any]:
    """Return a policy that lets in only the platform's callers, where engines answer."""
    port = {"port": "http", "protocol": "TCP"}
    return {
        "podSelector": {"matchLabels": labels(observed.kind, observed.name)},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [dict(peer) for peer in plan.platform.callers], "ports": [port]}],
    }


def _pool(observed: Observed, plan: Plan) -> dict[str, Any]:
    return pool(observed, plan.runtime.port, plan.platform.gateway_api or GatewayApi())


def _route(observed: Observed, plan: Plan) -> dict[str, Any]:
    return route(observed, plan.served_name, plan.platform.gateway_api or GatewayApi())


def _scaled_object(observed: Observed, plan: Plan) -> dict[str, Any]:
    return scaled_object(observed, plan.spec.scaling, plan.platform.scaler)


_SPECS: Final[Mapping[ChildType, Callable[[Observed, Plan], dict[str, Any]]]] = {
    CLAIM: _claim,
    BUILD: _build,
    SERVICE: _service,
    NETWORK: _network,
    DEPLOYMENT: _deployment,
    BUDGET: _budget,
    POOL: _pool,
    ROUTE: _route,
    SCALED_OBJECT: _scaled_object,
}
