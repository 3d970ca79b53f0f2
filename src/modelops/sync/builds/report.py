"""From a verdict to the status that a ModelBuild shows."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from modelops.api import conditions as c
from modelops.sync.builds.observed import ObservedBuild
from modelops.sync.builds.plan import BuildPlan
from modelops.sync.builds.result import lineage
from modelops.sync.builds.verdict import Course, gate_condition
from modelops.sync.refusal import Refusal
from modelops.sync.verdict import Verdict


def report_build(
    observed: ObservedBuild, plan: BuildPlan, found: Course, verdict: Verdict, now: datetime
) -> dict[str, Any]:
    """Return the status of a build that has a plan."""
    told = f"made by {plan.asked.builder.name}"
    conditions = (
        c.Condition(c.READY, c.truth(verdict.ready), verdict.reason, verdict.sentence),
        c.Condition(c.ACCEPTED, "True", "Planned", told),
        _built(found, verdict),
        gate_condition(plan, found.result),
        *_kstatus(verdict),
    )
    return {
        "observedGeneration": observed.generation,
        "conditions": c.stamp(conditions, observed.generation, _before(observed), now),
        "digest": plan.asked.address,
        **_job(plan, found),
        **({"progress": found.progress.document} if found.progress else {}),
        **(found.result or {"lineage": lineage(plan, {})}),
    }


def report_build_refusal(
    observed: ObservedBuild, refusal: Refusal, now: datetime
) -> dict[str, Any]:
    """Return the status of a build that has no plan; an artifact that was made stays known."""
    reason, told = refusal.reason, refusal.sentence
    conditions = (
        c.Condition(c.READY, "False", reason, told),
        c.Condition(c.ACCEPTED, "False", reason, told),
        c.Condition(c.RECONCILING, "False", reason, told),
        c.Condition(c.STALLED, "True", reason, told),
    )
    stamped = c.stamp(conditions, observed.generation, _before(observed), now)
    return {"observedGeneration": observed.generation, "conditions": stamped}


def _job(plan: BuildPlan, found: Course) -> dict[str, Any]:
    """Return the Job, while there is one or will be."""
    needless = found.job is None and found.result is not None
    return {} if needless else {"job": plan.job}


def _built(found: Course, verdict: Verdict) -> c.Condition:
    if found.result is not None:
        return c.Condition(c.BUILT, "True", "Built", "the artifact is complete")
    return c.Condition(c.BUILT, "False", verdict.reason, verdict.sentence)


def _kstatus(verdict: Verdict) -> tuple[c.Condition, c.Condition]:
    moving = not verdict.ready and not verdict.stalled
    return (
        c.Condition(c.RECONCILING, c.truth(moving), verdict.reason, verdict.sentence),
        c.Condition(c.STALLED, c.truth(verdict.stalled), verdict.reason, verdict.sentence),
    )


def _before(observed: ObservedBuild) -> list[Mapping[str, Any]]:
    return list((observed.resource.get("status") or {}).get("conditions") or [])
