"""One pass of the pure core: observed -> what to write, what to report, when to look again."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from modelops.api.conditions import READY
from modelops.sync.catalogue import Catalogue
from modelops.sync.facts import gather, revision_of
from modelops.sync.observed import DEPLOYMENT, OPTIONAL_TYPES, Observed, Ref
from modelops.sync.plan import Plan, Refusal, plan
from modelops.sync.progress import Progress
from modelops.sync.quantized import Hold
from modelops.sync.render import render
from modelops.sync.report import report, report_refusal
from modelops.sync.verdict import held, judge

LONGEST_PAUSE: Final = 10.0
"""Seconds between two looks at a model that is not as it should be: a cause is told in time."""

PATIENCE: Final = 0.05
"""The pause as a share of how long the model has not been ready."""

INTENT: Final = "modelops"
"""Field manager of everything but ``spec.replicas``."""

SCALER: Final = "modelops-scaler"
"""Field manager of ``spec.replicas``, the only one."""

ASKER: Final = "modelops-autoscaler"
"""Field manager of what the operator itself asks for in a model's ``spec.scaling.replicas``."""


@dataclass(frozen=True, slots=True)
class Apply:
    """A server-side apply of a manifest by a field manager."""

    manifest: Mapping[str, Any]
    manager: Literal["modelops", "modelops-scaler"] = INTENT


@dataclass(frozen=True, slots=True)
class Delete:
    """The deletion of an object that is not wanted any more."""

    ref: Ref
    uid: str


@dataclass(frozen=True, slots=True)
class Create:
    """The making of an object that is never changed; one that is there already is left alone."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Replace:
    """The writing of an object as it was seen, with a change: void if it has changed meanwhile."""

    manifest: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """The first ask for replicas, where nobody has asked: autoscalers begin with what is asked."""

    ref: Ref
    replicas: int


Write = Apply | Create | Replace | Delete | Ask
_EXTRA: Final = {child_type.kind for child_type in OPTIONAL_TYPES}


@dataclass(frozen=True, slots=True)
class Desired:
    """What a pass concludes: ordered writes, the status, the sentence, the next look."""

    writes: tuple[Write, ...]
    status: Mapping[str, Any]
    reason: str
    sentence: str
    recheck_seconds: float | None


def sync(observed: Observed, catalogue: Catalogue, now: datetime) -> Desired:
    """Return what follows from what was observed. Pure: equal inputs give equal results."""
    try:
        planned = plan(observed, catalogue, now)
    except Refusal as refusal:
        status = report_refusal(observed, refusal, now)
        return Desired((), status, refusal.reason, refusal.sentence, refusal.recheck_seconds)
    if planned.hold:
        return _held(observed, planned, planned.hold, now)
    return _desired(observed, planned, now)


def _desired(observed: Observed, planned: Plan, now: datetime) -> Desired:
    manifests = render(observed, planned)
    facts = gather(observed, planned, _revision(manifests), now)
    verdict = judge(facts, Progress.read(observed.progress))
    status = report(observed, planned, facts, verdict, now)
    return Desired(
        writes=(
            *_applies(observed, planned, manifests),
            *(_deletes(observed, manifests) if verdict.ready else ()),
        ),
        status=status,
        reason=verdict.reason,
        sentence=verdict.sentence,
        recheck_seconds=pause(verdict.recheck_seconds, status, now),
    )


def _held(observed: Observed, planned: Plan, hold: Hold, now: datetime) -> Desired:
    """Return what follows while the new version cannot be deployed: what serves is only scaled."""
    live = observed.child(DEPLOYMENT)
    facts = gather(observed, planned, (revision_of(live) or "") if live else "", now)
    verdict = held(hold, facts)
    status = report(observed, planned, facts, verdict, now)
    scale = (Apply(_scale(observed, planned.replicas), SCALER),) if live else ()
    return Desired(
        writes=(*map(Apply, render(observed, planned)), *scale, *_asks(observed, planned)),
        status=status,
        reason=verdict.reason,
        sentence=verdict.sentence,
        recheck_seconds=pause(verdict.recheck_seconds, status, now),
    )


def pause(shortest: float | None, status: Mapping[str, Any], now: datetime) -> float | None:
    """Return when to look again: what has lasted for long is looked at less often."""
    if shortest is None:
        return None
    ready = next(c for c in status["conditions"] if c["type"] == READY)
    lasts = (now - datetime.fromisoformat(ready["lastTransitionTime"])).total_seconds()
    return max(shortest, min(LONGEST_PAUSE, lasts * PATIENCE))


def _revision(manifests: tuple[Mapping[str, Any], ...]) -> str:
    deployment = next(m for m in manifests if m["kind"] == DEPLOYMENT.kind)
    return revision_of(deployment) or ""


def _applies(
    observed: Observed, planned: Plan, manifests: tuple[Mapping[str, Any], ...]
) -> tuple[Write, ...]:
    """Return the applies in an order that never leaves ``spec.replicas`` without an owner.

    A Deployment is born with its replicas, so that none made for zero flashes a pod; the scaler
    takes the field over before an apply leaves it out. What is optional comes last, so that it
    holds up nothing.
    """
    exists = observed.child(DEPLOYMENT) is not None
    optional = (Apply(m) for m in manifests if m["kind"] in _EXTRA)
    extra: tuple[Write, ...] = (*_asks(observed, planned), *optional)
    rest = [m for m in manifests if m["kind"] not in _EXTRA]
    before = [Apply(m) for m in rest if m["kind"] != DEPLOYMENT.kind]
    deployment = next(m for m in manifests if m["kind"] == DEPLOYMENT.kind)
    scale = Apply(_scale(observed, planned.replicas), SCALER)
    if exists:
        return (*before, scale, Apply(deployment), *extra)
    spec = {**deployment["spec"], "replicas": planned.replicas}
    return (*before, Apply({**deployment, "spec": spec}), scale, *extra)


def _asks(observed: Observed, planned: Plan) -> tuple[Ask, ...]:
    """Return the ask that a model lacks: without one its scale cannot be read."""
    needed = planned.spec.scaling.automatic and planned.scale.asked is None
    return (Ask(Ref.of(observed.resource), planned.replicas),) if needed else ()


def _scale(observed: Observed, replicas: int) -> dict[str, Any]:
    return {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.kind,
        "metadata": {"name": observed.name, "namespace": observed.namespace},
        "spec": {"replicas": replicas},
    }


def _deletes(observed: Observed, manifests: tuple[Mapping[str, Any], ...]) -> tuple[Delete, ...]:
    """Return what nobody needs any more, once the planned version serves.

    Before that the previous version goes on serving, from a claim that may not be wanted again.
    """
    wanted = {Ref.of(manifest) for manifest in manifests}
    ours = {ref: child for ref, child in observed.children.items() if observed.owns(child)}
    return tuple(
        Delete(ref, child["metadata"]["uid"])
        for ref, child in sorted(ours.items(), key=lambda item: str(item[0]))
        if ref not in wanted and "deletionTimestamp" not in child["metadata"]
    )
