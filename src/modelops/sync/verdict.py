"""The one judgement of a pass: is the model ready, why or why not, and when to look again."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from modelops.api.conditions import one_line
from modelops.sync.facts import Facts
from modelops.sync.progress import Progress
from modelops.sync.quantized import Hold
from modelops.sync.scale import Limit

_ASLEEP: Final = (
    "idle at zero replicas; a request to the gateway wakes it, or `kubectl scale --replicas=1`"
)
_AT_ZERO: Final[Mapping[Limit | None, str]] = {
    "Off": "turned off by spec.scaling.maxReplicas 0; raise it to serve",
    "Paused": "paused at zero replicas; set spec.scaling.state to Active to let it wake",
}


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


def held(hold: Hold, facts: Facts) -> Verdict:
    """Return the verdict on a model whose new version cannot be deployed yet.

    The facts are those of the version that serves meanwhile, if there is one.
    """
    goes_on = "; what served before goes on serving" if facts.deployed else ""
    told = one_line(f"{_count(facts)}; {hold.sentence}{goes_on}")
    return Verdict(False, hold.reason, told, hold.stalled, recheck_seconds=5)  # noqa: FBT003


def _idle(facts: Facts) -> Verdict:
    if not facts.empty or not facts.scaled:
        return _waiting("ScalingDown", "scaling to zero replicas", facts)
    return Verdict(ready=True, reason="Idle", sentence=_AT_ZERO.get(facts.limit, _ASLEEP))


def _failing(facts: Facts) -> Verdict | None:
    if facts.cause:
        stalled = facts.timed_out or not facts.cause.passing
        return _stuck(facts.cause.reason, facts.cause.sentence, facts, stalled=stalled)
    if facts.crashing:
        name = facts.crashing.name
        told = f"the engine of pod {name} keeps crashing"
        look = f"see `kubectl logs {name} -c engine --previous`"
        return _stuck("CrashLooping", f"{told}: {look}", facts)
    if facts.timed_out:
        told = "the new version did not become ready in time"
        look = "see its pods' logs, or raise spec.rollout.progressDeadlineSeconds"
        return _stuck("RolloutTimedOut", f"{told}: {look}", facts)
    return None


def _starting(facts: Facts, progress: Progress | None) -> Verdict:
    missing = [replica for replica in facts.current if not replica.ready]
    if any(replica.fetching for replica in missing):
        told = f": {progress.sentence}" if progress else ""
        return _waiting("FetchingWeights", f"fetching the weights{told}", facts)
    if any(replica.starting and replica.answered for replica in missing):
        return _waiting("NotAnswering", "an engine that ran does not answer any more", facts)
    if any(replica.starting for replica in missing):
        return _waiting("StartingEngine", "the engine loads the model", facts)
    if missing or facts.ready < facts.wanted:
        return _waiting("Pending", "waiting for a pod to start", facts)
    return _leaving(facts)


def _leaving(facts: Facts) -> Verdict:
    """All that is wanted answers; something else is left."""
    if facts.previous:
        return _waiting("RollingOut", "replicas of the previous version are leaving", facts)
    if len(facts.current) > facts.wanted:
        return _waiting("ScalingDown", "replicas that are too many are leaving", facts)
    return _waiting("Settling", "waiting for the Deployment's controller", facts)


def _waiting(reason: str, doing: str, facts: Facts) -> Verdict:
    return Verdict(ready=False, reason=reason, sentence=_told(doing, facts), recheck_seconds=2)


def _stuck(reason: str, why: str, facts: Facts, *, stalled: bool = True) -> Verdict:
    told = _told(why, facts)
    return Verdict(ready=False, reason=reason, sentence=told, stalled=stalled, recheck_seconds=5)


def _told(what: str, facts: Facts) -> str:
    return one_line(f"{_count(facts)}; {what}{_before(facts)}")


def _serving(facts: Facts) -> str:
    return f"serving {_count(facts)}"


def _count(facts: Facts) -> str:
    return f"{facts.ready} of {facts.wanted} replica{'' if facts.wanted == 1 else 's'}"


def _before(facts: Facts) -> str:
    count = facts.ready_before
    if not count or facts.ready >= facts.wanted:
        return ""
    return f"; the previous version goes on serving with {count} replica{'s' if count > 1 else ''}"
