"""The one judgement of a pass: is the model ready, why or why not, and when to look again."""

from dataclasses import dataclass

from modelops.sync.facts import Facts
from modelops.sync.progress import Progress


@dataclass(frozen=True, slots=True)
class Verdict:
    """Ready or not, the stable reason, the sentence; whether only a person can help.

    ``recheck_seconds`` is None when only a change can alter the verdict.
    """

    ready: bool
    reason: str
    sentence: str
    stalled: bool = False
    recheck_seconds: float | None = None


def judge(facts: Facts, progress: Progress | None) -> Verdict:
    """Return the verdict on the facts of one pass."""
    if facts.wanted == 0 and facts.deployed:
        return _idle(facts)
    if facts.serving:
        return Verdict(ready=True, reason="Serving", sentence=_serving(facts))
    if not facts.deployed:
        return _waiting("Deploying", "applying the model's objects", facts)
    return _failing(facts) or _starting(facts, progress)


def _idle(facts: Facts) -> Verdict:
    if facts.existing or facts.current or facts.previous:
        return _waiting("ScalingDown", "scaling to zero replicas", facts)
    return Verdict(
        ready=True,
        reason="Idle",
        sentence="idle at zero replicas; set spec.scaling.minReplicas above 0 to serve",
    )


def _failing(facts: Facts) -> Verdict | None:
    if facts.cause:
        sentence = f"{_count(facts)}; {facts.cause.sentence}{_before(facts)}"
        return Verdict(
            ready=False,
            reason=facts.cause.reason,
            sentence=sentence,
            stalled=True,
            recheck_seconds=5,
        )
    if facts.crashing:
        sentence = (
            f"{_count(facts)}; the engine of pod {facts.crashing.name} keeps crashing: "
            f"see `kubectl logs {facts.crashing.name} -c engine --previous`{_before(facts)}"
        )
        return Verdict(
            ready=False, reason="CrashLooping", sentence=sentence, stalled=True, recheck_seconds=10
        )
    return None


def _starting(facts: Facts, progress: Progress | None) -> Verdict:
    if facts.timed_out:
        late = "the new version did not become ready in time: see its pods' logs, or raise "
        return _waiting("RolloutTimedOut", f"{late}spec.rollout.progressDeadlineSeconds", facts)
    missing = [replica for replica in facts.current if not replica.ready]
    if any(replica.fetching for replica in missing):
        told = f": {progress.sentence}" if progress else ""
        return _waiting("FetchingWeights", f"fetching the weights{told}", facts)
    if any(replica.starting for replica in missing):
        return _waiting("StartingEngine", "the engine loads the model", facts)
    if missing or facts.ready < facts.wanted:
        return _waiting("Pending", "waiting for a pod to start", facts)
    return _waiting("RollingOut", "the previous version's replicas are leaving", facts)


def _waiting(reason: str, doing: str, facts: Facts) -> Verdict:
    sentence = f"{_count(facts)}; {doing}{_before(facts)}"
    return Verdict(ready=False, reason=reason, sentence=sentence, recheck_seconds=2)


def _serving(facts: Facts) -> str:
    return f"serving {_count(facts)}"


def _count(facts: Facts) -> str:
    return f"{facts.ready} of {facts.wanted} replica{'' if facts.wanted == 1 else 's'}"


def _before(facts: Facts) -> str:
    count = facts.ready_before
    if not count:
        return ""
    return f"; the previous version goes on serving with {count} replica{'s' if count > 1 else ''}"
