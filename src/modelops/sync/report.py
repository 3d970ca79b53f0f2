"""From the verdict and the facts to the status that the object shows."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from modelops.api import conditions as c
from modelops.sync.attachment import attachment
from modelops.sync.change import last_scale
from modelops.sync.facts import Facts
from modelops.sync.observed import Observed, labels
from modelops.sync.plan import Plan, Refusal
from modelops.sync.progress import Progress
from modelops.sync.replica import Replica
from modelops.sync.scaler import scaling_active
from modelops.sync.verdict import Verdict


def report(
    observed: Observed, plan: Plan, facts: Facts, verdict: Verdict, now: datetime
) -> dict[str, Any]:
    """Return the status of a model that has a plan."""
    progress = Progress.read(observed.progress)
    conditions = (
        c.Condition(c.READY, c.truth(verdict.ready), verdict.reason, verdict.sentence),
        c.Condition(c.ACCEPTED, "True", "Planned", f"served by {plan.runtime.name}"),
        _weights_condition(observed, facts, progress),
        _available(facts.ready + facts.ready_before),
        *_kstatus(verdict),
        scaling_active(observed, plan),
        *attachment(observed, plan.platform),
    )
    return {
        "observedGeneration": observed.generation,
        "conditions": c.stamp(conditions, observed.generation, _before(observed), now),
        "url": plan.url,
        "runtime": plan.runtime.name,
        "model": plan.served_name,
        **_replicas(observed, facts),
        "lastScale": last_scale(observed, plan.scale, now),
        **_weights_status(observed, facts, progress),
    }


def report_refusal(observed: Observed, refusal: Refusal, now: datetime) -> dict[str, Any]:
    """Return the status of a model that has no plan; what served before goes on serving."""
    ready = sum(Replica(pod).ready for pod in observed.pods)
    conditions = (
        c.Condition(c.READY, "False", refusal.reason, refusal.sentence),
        c.Condition(c.ACCEPTED, "False", refusal.reason, refusal.sentence),
        _remembered(observed),
        _available(ready),
        c.Condition(c.RECONCILING, c.truth(refusal.passing), refusal.reason, refusal.sentence),
        c.Condition(c.STALLED, c.truth(not refusal.passing), refusal.reason, refusal.sentence),
    )
    return {
        **_status(observed),
        "observedGeneration": observed.generation,
        "conditions": c.stamp(conditions, observed.generation, _before(observed), now),
        "readyReplicas": ready,
    }


def _status(observed: Observed) -> Mapping[str, Any]:
    return observed.resource.get("status") or {}


def _before(observed: Observed) -> list[Mapping[str, Any]]:
    return list(_status(observed).get("conditions") or [])


def _available(ready: int) -> c.Condition:
    if ready:
        told = "1 replica answers" if ready == 1 else f"{ready} replicas answer"
        return c.Condition(c.AVAILABLE, "True", "Serving", f"{told} requests")
    return c.Condition(c.AVAILABLE, "False", "NoReplicas", "no replica answers requests")


def _kstatus(verdict: Verdict) -> tuple[c.Condition, c.Condition]:
    """Return the two conditions by which GitOps tools tell progress from failure."""
    moving = not verdict.ready and not verdict.stalled
    return (
        c.Condition(c.RECONCILING, c.truth(moving), verdict.reason, verdict.sentence),
        c.Condition(c.STALLED, c.truth(verdict.stalled), verdict.reason, verdict.sentence),
    )


def _weights_condition(observed: Observed, facts: Facts, progress: Progress | None) -> c.Condition:
    fetched = next((r for r in facts.current if r.fetched is not None), None)
    if fetched:
        return c.Condition(c.WEIGHTS_READY, "True", "Verified", "the weights are in place")
    if not facts.current:
        return _remembered(observed)
    if facts.cause:
        return c.Condition(c.WEIGHTS_READY, "False", facts.cause.reason, facts.cause.sentence)
    told = progress.sentence if progress else "not there yet"
    return c.Condition(c.WEIGHTS_READY, "False", "Fetching", f"the weights are on the way: {told}")


def _remembered(observed: Observed) -> c.Condition:
    """Without replicas nothing new is known of the weights."""
    known = c.find(observed.resource, c.WEIGHTS_READY)
    if known:
        return c.Condition(c.WEIGHTS_READY, known["status"], known["reason"], known["message"])
    return c.Condition(c.WEIGHTS_READY, "Unknown", "NoReplicas", "no replica has asked for them")


def _replicas(observed: Observed, facts: Facts) -> dict[str, Any]:
    selector = labels(observed.kind, observed.name)
    return {
        "replicas": facts.existing,
        "readyReplicas": facts.ready + facts.ready_before,
        "selector": ",".join(f"{key}={value}" for key, value in selector.items()),
    }


def _weights_status(observed: Observed, facts: Facts, progress: Progress | None) -> dict[str, Any]:
    told = next((r.fetched for r in facts.current if r.fetched), None)
    if told:
        return {"weights": {"percent": 100, **_told(told)}}
    if progress and facts.current:
        moving = {"doneBytes": progress.done, "totalBytes": progress.total}
        return {"weights": {**moving, "percent": progress.percent}}
    before = _status(observed).get("weights")
    return {"weights": before} if before and not facts.current else {}


def _told(done: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the last words of the weights container say, where they are what they should."""
    texts = {k: done[k] for k in ("digest", "revision") if isinstance(done.get(k), str)}
    total = done.get("bytes")
    return {**texts, "doneBytes": total, "totalBytes": total} if type(total) is int else texts
