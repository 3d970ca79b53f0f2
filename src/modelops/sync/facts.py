"""What the observed children and pods amount to, gathered once for every condition."""

from dataclasses import dataclass, replace
from datetime import datetime

from modelops.sync.cause import Cause, short
from modelops.sync.diagnosis import UNSCHEDULABLE, diagnose
from modelops.sync.observed import DEPLOYMENT, Manifest, Observed
from modelops.sync.plan import Plan
from modelops.sync.pod import marked_revision
from modelops.sync.replica import Replica, replicas
from modelops.sync.scale import Limit


@dataclass(frozen=True, slots=True)
class Facts:
    """The state of a model's replicas, as observed.

    ``current`` are the replicas of the planned version, ``previous`` those of earlier ones;
    ``draining`` counts the pods that are being deleted and still run; ``deployed`` tells whether
    the Deployment carries the planned version at all, ``scaled`` whether it carries the planned
    number, ``settled`` whether its controller has done all that it asks for; ``limit`` is what
    keeps the number from the one that is asked for.
    """

    wanted: int
    existing: int
    current: tuple[Replica, ...]
    previous: tuple[Replica, ...]
    draining: int
    deployed: bool
    scaled: bool
    settled: bool
    timed_out: bool
    cause: Cause | None
    crashing: Replica | None
    limit: Limit | None = None

    @property
    def ready(self) -> int:
        """How many replicas of the planned version answer requests."""
        return sum(replica.ready for replica in self.current)

    @property
    def ready_before(self) -> int:
        """How many replicas of earlier versions answer requests."""
        return sum(replica.ready for replica in self.previous)

    @property
    def serving(self) -> bool:
        """Whether all that is wanted serves, and nothing else is left."""
        enough = self.deployed and self.settled and self.ready >= self.wanted > 0
        return enough and not self.crashing

    @property
    def empty(self) -> bool:
        """Whether nothing of the model runs."""
        return not (self.existing or self.current or self.previous or self.draining)


def gather(observed: Observed, plan: Plan, revision: str, now: datetime) -> Facts:
    """Return the facts about a model whose planned template has that revision."""
    deployment = observed.child(DEPLOYMENT)
    pods = replicas(observed)
    current = tuple(r for r in pods if r.revision == revision and not r.leaving)
    previous = tuple(r for r in pods if r.revision != revision and not r.leaving)
    causes = (diagnose(r, plan.runtime) for r in (*current, *_lost(pods, revision, now)))
    cause = _refused(deployment) or next((cause for cause in causes if cause), None)
    return Facts(
        wanted=plan.replicas,
        existing=int(_status(deployment).get("replicas", 0)),
        current=current,
        previous=previous,
        draining=sum(r.draining for r in pods),
        deployed=deployment is not None and revision_of(deployment) == revision,
        scaled=deployment is not None and deployment["spec"].get("replicas") == plan.replicas,
        settled=_settled(deployment, plan.replicas),
        timed_out=_timed_out(deployment),
        cause=_held_up(cause) if cause and previous else cause,
        crashing=next((r for r in current if r.looping(now)), None),
        limit=plan.scale.limit,
    )


def revision_of(deployment: Manifest) -> str | None:
    """Return the revision that a Deployment's pod template carries."""
    return marked_revision(deployment["spec"]["template"])


def _lost(pods: tuple[Replica, ...], revision: str, now: datetime) -> tuple[Replica, ...]:
    """Return the planned version's pods that ended lately, unless others took their place."""
    ours = [r for r in pods if r.revision == revision]
    return () if any(r.ready for r in ours) else tuple(r for r in ours if r.ended_lately(now))


def _status(deployment: Manifest | None) -> Manifest:
    return (deployment or {}).get("status") or {}


def _seen(deployment: Manifest | None) -> bool:
    """Tell whether the Deployment's controller speaks of its present spec."""
    if deployment is None:
        return False
    generation = deployment["metadata"].get("generation", 1)
    return bool(_status(deployment).get("observedGeneration", 0) >= generation)


def _settled(deployment: Manifest | None, wanted: int) -> bool:
    status = _status(deployment)
    total, updated = status.get("replicas", 0), status.get("updatedReplicas", 0)
    return _seen(deployment) and total == updated == wanted


def _timed_out(deployment: Manifest | None) -> bool:
    reason = _condition(deployment, "Progressing").get("reason")
    return _seen(deployment) and reason == "ProgressDeadlineExceeded"


def _condition(deployment: Manifest | None, kind: str) -> Manifest:
    conditions = _status(deployment).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind), {})


def _held_up(cause: Cause) -> Cause:
    """Return the cause with the way out when the room is what the previous version takes."""
    if cause.reason != UNSCHEDULABLE:
        return cause
    way_out = "set spec.rollout.strategy to Recreate, which stops the previous version first"
    return replace(cause, action=f"{cause.action}; or {way_out}")


def _refused(deployment: Manifest | None) -> Cause | None:
    failure = _condition(deployment, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    return Cause(
        "PodRefused",
        f"the cluster refuses the pod ({short(failure.get('message'))})",
        "change the quota or policy it names, or spec.podTemplate",
    )
