"""How a model's owner wants it to scale, from its object (pure)."""

from collections.abc import Mapping
from typing import Any

from modelops.scaling.policy import Pace, Policy, Targets
from modelops.scaling.schedule import Schedule

Json = Mapping[str, Any]


def policy(scaling: Json, capacity: int | None) -> Policy | None:
    """Return the policy of a `spec.scaling`; None where nothing is to be decided.

    That is so for a model with as many replicas at least as at most, for one that is paused, and
    for a policy that nobody can follow, of which the operator tells in the model's status.
    """
    minimum, most = scaling.get("minReplicas", 1), scaling.get("maxReplicas")
    schedules = scaling.get("schedules") or ()
    floors = (s.get("minReplicas", 0) for s in schedules)
    maximum = max(1, minimum, *floors) if most is None else most
    if minimum >= maximum or scaling.get("state") == "Paused":
        return None
    pace = scaling.get("behavior") or {}
    try:
        return Policy(
            minimum=minimum,
            maximum=maximum,
            targets=_targets(scaling.get("targets") or {}),
            idle_after_seconds=scaling.get("idleAfterSeconds", 300),
            up=_pace(pace.get("scaleUp") or {}, 0),
            down=_pace(pace.get("scaleDown") or {}, 120),
            schedules=tuple(map(_schedule, schedules)),
            capacity=capacity,
        )
    except (KeyError, TypeError, ValueError):
        return None


def _targets(targets: Json) -> Targets:
    return Targets(
        queue_depth=targets.get("queueDepth"),
        concurrency=targets.get("concurrency"),
        kv_cache_percent=targets.get("kvCachePercent"),
        ttft_milliseconds=targets.get("timeToFirstTokenMilliseconds"),
    )


def _pace(pace: Json, seconds: int) -> Pace:
    return Pace(
        window_seconds=pace.get("stabilizationWindowSeconds", seconds),
        replicas_a_minute=pace.get("maxReplicasPerMinute"),
    )


def _schedule(schedule: Json) -> Schedule:
    return Schedule(
        name=schedule["name"],
        start=schedule["start"],
        end=schedule["end"],
        minimum=schedule["minReplicas"],
        time_zone=schedule.get("timeZone", "UTC"),
    )
