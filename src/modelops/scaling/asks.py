"""How many replicas each target of a policy asks for."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from modelops.scaling.policy import Policy
from modelops.scaling.reading import Reading

QUEUE_DEPTH: Final = 4
"""Requests that may wait for one replica, where a policy has no target and no capacity."""

BUSY: Final = 0.8
"""The share of a replica's capacity that is used on purpose; the rest takes what comes at once."""


@dataclass(frozen=True, slots=True)
class Ask:
    """So many replicas: ``value`` of ``metric`` was read, a replica may have ``target``."""

    replicas: int
    metric: str
    value: float
    target: float

    def __str__(self) -> str:
        """Tell people."""
        return f"{self.metric} is {self.value:.4g}, and {self.target:.4g} a replica are wanted"


def asks(policy: Policy, reading: Reading) -> Iterator[Ask]:
    """Return what each target asks for that has a value."""
    ready = reading.ready or 0
    targets = policy.targets
    if (concurrency := concurrency_target(policy)) is not None and reading.load is not None:
        yield _share("concurrency", reading.load, concurrency)
    if (depth := queue_target(policy)) is not None and reading.queue is not None:
        yield _share("queueDepth", reading.queue, depth)
    if targets.kv_cache_percent is not None and reading.kv_cache_percent is not None:
        yield _share("kvCachePercent", reading.kv_cache_percent, targets.kv_cache_percent, ready)
    if targets.ttft_milliseconds is not None and reading.ttft_milliseconds is not None:
        yield _slow(reading.ttft_milliseconds, targets.ttft_milliseconds, ready)


def concurrency_target(policy: Policy) -> float | None:
    """Return how many requests a replica may have at once."""
    if policy.targets.concurrency is not None:
        return policy.targets.concurrency
    return None if policy.capacity is None else max(policy.capacity * BUSY, 1)


def queue_target(policy: Policy) -> float | None:
    """Return how many requests may wait for a replica."""
    if policy.targets.queue_depth is not None or policy.capacity is not None:
        return policy.targets.queue_depth
    return QUEUE_DEPTH if policy.targets == type(policy.targets)() else None


def missing(policy: Policy, reading: Reading) -> str | None:
    """Return the name of something that the policy goes by and nobody knows."""
    if reading.load is None:
        return "load"
    if queue_target(policy) is not None and reading.queue is None:
        return "queueDepth"
    kv = policy.targets.kv_cache_percent is not None and reading.kv_cache_percent is None
    return "kvCachePercent" if kv and reading.ready != 0 else None


def _share(metric: str, value: float, target: float, times: int = 1) -> Ask:
    return Ask(math.ceil(times * value / target - 1e-9), metric, value, target)


def _slow(value: float, target: float, ready: int) -> Ask:
    """Return what a slow first token asks for; a fast one does not tell how much is too much."""
    wanted = math.ceil(ready * min(value / target, 2.0)) if value > target else 0
    return Ask(wanted, "timeToFirstTokenMilliseconds", value, target)
