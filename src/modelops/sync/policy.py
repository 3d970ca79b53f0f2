"""From a policy and what it is judged among to the status that it shows."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from modelops.api import conditions as c
from modelops.api.policies.modelroute import KIND as MODEL_ROUTE
from modelops.api.policies.tenant import KIND as TENANT
from modelops.sync.refusal import Refusal
from modelops.sync.route import judge_route, naming
from modelops.sync.scene import Scene
from modelops.sync.tenant import judge_tenant
from modelops.sync.verdict import Verdict

Resource = Mapping[str, Any]
Judge = Callable[[Resource, Scene], Verdict]
JUDGES: Final[Mapping[str, tuple[Judge, Callable[[Resource], Resource]]]] = MappingProxyType(
    {MODEL_ROUTE.name: (judge_route, naming), TENANT.name: (judge_tenant, lambda _: {})}
)
"""The verdict on a policy of each kind, and what else its status shows."""


def policy_status(resource: Resource, scene: Scene, now: datetime) -> dict[str, Any]:
    """Return the status of a policy."""
    accepted, verdict = _judged(resource, scene)
    generation = int(resource["metadata"].get("generation", 1))
    before = (resource.get("status") or {}).get("conditions") or []
    conditions = (
        c.Condition(c.READY, c.truth(verdict.ready), verdict.reason, verdict.sentence),
        accepted,
        _moving(verdict),
        c.Condition(c.STALLED, c.truth(verdict.stalled), verdict.reason, verdict.sentence),
    )
    return {
        "observedGeneration": generation,
        "conditions": c.stamp(conditions, generation, before, now),
        **JUDGES[resource["kind"]][1](resource),
    }


def _judged(resource: Resource, scene: Scene) -> tuple[c.Condition, Verdict]:
    try:
        verdict = JUDGES[resource["kind"]][0](resource, scene)
    except Refusal as refusal:
        reason, told = refusal.reason, refusal.sentence
        return c.Condition(c.ACCEPTED, "False", reason, told), Verdict(
            ready=False, reason=reason, sentence=told, stalled=True
        )
    return c.Condition(c.ACCEPTED, "True", "Planned", "the gateway goes by it"), verdict


def _moving(verdict: Verdict) -> c.Condition:
    moving = not verdict.ready and not verdict.stalled
    return c.Condition(c.RECONCILING, c.truth(moving), verdict.reason, verdict.sentence)
