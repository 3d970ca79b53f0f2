"""From a plan to the manifests of a model's children."""

from typing import Any

from modelops.api.base import API_VERSION
from modelops.sync.observed import BUDGET, CLAIM, DEPLOYMENT, SERVICE, ChildType, Observed, labels
from modelops.sync.plan import Plan
from modelops.sync.pod import pod_template


def render(observed: Observed, plan: Plan) -> tuple[dict[str, Any], ...]:
    """Return the children in the order in which they are applied; none has ``spec.replicas``."""
    claim = [_claim(observed, plan)] if plan.cached and _own_claim(plan) else []
    budget = [_budget(observed, plan)] if plan.replicas > 1 else []
    return (*claim, _service(observed, plan), _deployment(observed, plan), *budget)


def _own_claim(plan: Plan) -> bool:
    cache = plan.spec.cache
    return cache.medium == "PersistentVolumeClaim" and cache.claim_name is None


def _child(child_type: ChildType, observed: Observed, plan: Plan, spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": child_type.api_version,
        "kind": child_type.kind,
        "metadata": {
            "name": observed.name + child_type.suffix,
            "namespace": observed.namespace,
            "labels": _all_labels(observed, plan),
            "ownerReferences": [_owner(observed)],
        },
        "spec": spec,
    }


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


def _claim(observed: Observed, plan: Plan) -> dict[str, Any]:
    cache = plan.spec.cache
    storage_class = cache.storage_class_name or plan.platform.cache_storage_class
    spec = {
        "accessModes": [cache.access_mode],
        "resources": {"requests": {"storage": cache.size or plan.platform.cache_size}},
    }
    named = {"storageClassName": storage_class} if storage_class else {}
    return _child(CLAIM, observed, plan, {**spec, **named})


def _service(observed: Observed, plan: Plan) -> dict[str, Any]:
    port = {"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}
    spec = {"selector": labels(observed.kind, observed.name), "ports": [port]}
    return _child(SERVICE, observed, plan, spec)


def _deployment(observed: Observed, plan: Plan) -> dict[str, Any]:
    rollout = plan.spec.rollout
    spec = {
        "selector": {"matchLabels": labels(observed.kind, observed.name)},
        "strategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": rollout.max_surge, "maxUnavailable": 0},
        },
        "progressDeadlineSeconds": rollout.progress_deadline_seconds,
        "revisionHistoryLimit": 3,
        "template": pod_template(observed, plan, _all_labels(observed, plan)),
    }
    return _child(DEPLOYMENT, observed, plan, spec)


def _budget(observed: Observed, plan: Plan) -> dict[str, Any]:
    selector = {"matchLabels": labels(observed.kind, observed.name)}
    return _child(BUDGET, observed, plan, {"maxUnavailable": 1, "selector": selector})
