"""What the observed children and pods amount to, gathered once for every condition."""

from dataclasses import dataclass
from datetime import datetime

from modelops.sync.diagnosis import Cause, diagnose
from modelops.sync.observed import DEPLOYMENT, Manifest, Observed
from modelops.sync.plan import Plan
from modelops.sync.pod import REVISION_LABEL
from modelops.sync.replica import Replica


@dataclass(frozen=True, slots=True)
class Facts:
    """The state of a model's replicas, as observed.

    ``current`` are the replicas of the planned version, ``previous`` those of earlier ones;
    ``deployed`` tells whether the Deployment carries the planned version at all.
    """

    wanted: int
    existing: int
    current: tuple[Replica, ...]
    previous: tuple[Replica, ...]
    deployed: bool
    settled: bool
    timed_out: bool
    cause: Cause | None
    crashing: Replica | None

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


def gather(observed: Observed, plan: Plan, revision: str, now: datetime) -> Facts:
    """Return the facts about a model whose planned template has that revision."""
    deployment = observed.child(DEPLOYMENT)
    replicas = tuple(Replica(pod) for pod in observed.pods)
    current = tuple(r for r in replicas if r.revision == revision and not r.leaving)
    previous = tuple(r for r in replicas if r.revision != revision and not r.leaving)
    causes = (diagnose(r, plan.runtime) for r in (*current, *_evicted(replicas, revision)))
    return Facts(
        wanted=plan.replicas,
        existing=int((deployment or {}).get("status", {}).get("replicas", 0)),
        current=current,
        previous=previous,
        deployed=deployment is not None and revision_of(deployment) == revision,
        settled=deployment is not None and _settled(deployment, plan.replicas),
        timed_out=_condition(deployment, "Progressing").get("reason") == "ProgressDeadlineExceeded",
        cause=_refused(deployment) or next((cause for cause in causes if cause), None),
        crashing=next((r for r in current if r.crashed_lately(now)), None),
    )


def revision_of(deployment: Manifest) -> str | None:
    """Return the revision that a Deployment's pod template carries."""
    labels = deployment["spec"]["template"].get("metadata", {}).get("labels", {})
    value = labels.get(REVISION_LABEL)
    return None if value is None else str(value)


def _evicted(replicas: tuple[Replica, ...], revision: str) -> tuple[Replica, ...]:
    """Return the newest version's ended pods, unless others took their place."""
    ours = [r for r in replicas if r.revision == revision]
    return () if any(r.ready for r in ours) else tuple(r for r in ours if r.leaving)


def _settled(deployment: Manifest, wanted: int) -> bool:
    """Tell whether the Deployment's controller has done all that its spec asks for."""
    status = deployment.get("status", {})
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 1)
    total, updated = status.get("replicas", 0), status.get("updatedReplicas", 0)
    return bool(seen and total == updated == wanted)


def _condition(deployment: Manifest | None, kind: str) -> Manifest:
    conditions = (deployment or {}).get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {})


def _refused(deployment: Manifest | None) -> Cause | None:
    failure = _condition(deployment, "ReplicaFailure")
    if failure.get("status") != "True":
        return None
    return Cause(
        "PodRefused",
        f"the cluster refuses the pod ({failure.get('message')})",
        "change the quota or policy it names, or spec.podTemplate",
    )
