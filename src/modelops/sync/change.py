"""A change of the number of replicas, and what caused it."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from modelops.api.conditions import one_line
from modelops.sync.observed import DEPLOYMENT, Manifest, Observed
from modelops.sync.scale import Limit, Scale, planned

CREATED: Final = "created"
"""Stands for the metric where nothing has changed yet."""

ASKERS: Final[Mapping[str, str]] = {
    "modelops-autoscaler": "the operator's scaler",
    "modelops-activator": "a request that waits at the gateway",
    "kube-controller-manager": "a HorizontalPodAutoscaler",
    "keda": "KEDA",
    "keda-operator": "KEDA",
}
"""Who asks by what the gateway decides, by the field managers that they have."""

_LIMITED: Final[Mapping[Limit, tuple[str, str]]] = {
    "Off": ("off", "spec.scaling.maxReplicas turns the model off"),
    "Minimum": ("minimum", "spec.scaling keeps no fewer"),
    "Maximum": ("maximum", "spec.scaling allows no more"),
    "RollingOut": ("rollout", "a model goes to zero only when no new version is on its way"),
    "Paused": ("paused", "spec.scaling.state keeps what there is"),
}


def last_scale(observed: Observed, scale: Scale, now: datetime) -> Mapping[str, Any]:
    """Return the last change of the number of replicas, as the status tells it.

    It is told once: the one that the status knows already is the one that it keeps.
    """
    told = (observed.resource.get("status") or {}).get("lastScale")
    before = told["replicas"] if told else planned(observed.child(DEPLOYMENT))
    if told and before == scale.replicas:
        return dict(told)
    if before in {None, scale.replicas}:
        return _told(0, scale, CREATED, "the model was created", now)
    return _told(before, scale, *_cause(observed, scale, before), now)


def _told(before: int, scale: Scale, metric: str, message: str, now: datetime) -> Mapping[str, Any]:
    return {
        "replicasBefore": before,
        "replicas": scale.replicas,
        "metric": metric,
        "message": one_line(message),
        "time": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _cause(observed: Observed, scale: Scale, before: int) -> tuple[str, str]:
    """Return the metric that caused a change, and the sentence about it."""
    if scale.limit:
        return _LIMITED[scale.limit]
    asker = _asker(observed.resource)
    if asker == "modelops-activator" and not before:
        return "held", ASKERS[asker]
    decided = observed.decision if not asker or asker in ASKERS else None
    if decided and _towards(decided.replicas, before) == _towards(scale.replicas, before):
        return decided.metric, decided.sentence
    return "asked", f"asked for by {ASKERS.get(asker, asker) or 'nobody who is known'}"


def _towards(replicas: int, before: int) -> int:
    return (replicas > before) - (replicas < before)


def _asker(resource: Manifest) -> str:
    """Return the field manager of the ask."""
    owners = sorted(_owners(resource))
    return owners[-1][1] if owners else ""


def _owners(resource: Manifest) -> Iterator[tuple[str, str]]:
    for entry in resource["metadata"].get("managedFields") or ():
        scaling = ((entry.get("fieldsV1") or {}).get("f:spec") or {}).get("f:scaling") or {}
        if "f:replicas" in scaling:
            yield str(entry.get("time", "")), str(entry.get("manager", ""))
