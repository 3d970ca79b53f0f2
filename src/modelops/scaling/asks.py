"""How many replicas each target of a policy asks for, and what was learnt of the model."""

import math
from collections.abc import Iterator
from typing import Final

from modelops.scaling import jobs
from modelops.scaling.ask import HALF, Ask
from modelops.scaling.memory import Memory
from modelops.scaling.policy import Policy
from modelops.scaling.reading import Reading

QUEUE_DEPTH: Final = 4
"""Requests that may wait for one replica, where nothing else is known of what it can do."""

BUSY: Final = 0.8
"""The share of what a replica holds at once that is used when the load is at its highest."""

DEVIATIONS: Final = 2.5
"""The highest is so many deviations more than the load is now."""

LEAST_BUSY: Final = 0.5
"""However much a load swings, this share of what a replica holds is used on purpose."""

RATE: Final = 0.8
"""The share of the requests a second that a replica was seen to answer at most."""

MARGIN_SECONDS: Final = 15.0
"""A trend is seen so late."""

MOST_GROWTH: Final = 1.5
"""So many times the replicas are asked for at once by a first token that is late."""


def asks(policy: Policy, memory: Memory, reading: Reading) -> Iterator[Ask]:
    """Yield what asks for replicas."""
    return (jobs.asks if reading.jobs else _of_requests)(policy, memory, reading)


def _of_requests(policy: Policy, memory: Memory, reading: Reading) -> Iterator[Ask]:
    ready, targets, load, queue = reading.ready or 0, policy.targets, reading.load, reading.queue
    limit, bearable = memory.pulse.limit, concurrency(policy, memory, load or 0.0)
    if load is not None and bearable is not None:
        yield _open(policy, memory, load, bearable)
    if queue is not None and (depth := queue_depth(policy, memory)) is not None:
        sentence = f"{queue:.0f} requests wait, {depth} may a replica"
        yield Ask.of("queueDepth", queue, depth, sentence)
    if limit is not None and targets.concurrency is None:
        yield _coming(memory.pulse.coming, RATE * limit)
    if targets.kv_cache_percent is not None and reading.kv_cache_percent is not None:
        yield _full(reading.kv_cache_percent, targets.kv_cache_percent, ready)
    if targets.ttft_milliseconds is not None and reading.ttft_milliseconds is not None:
        yield _slow(reading, reading.ttft_milliseconds, targets.ttft_milliseconds)


def concurrency(policy: Policy, memory: Memory, load: float) -> float | None:
    """Return how many requests a replica may have at once: as told, or some of what it holds.

    The rest is for what may come before a replica that is asked for now is ready: the larger a load
    is, and the less it swings, the smaller is that share.
    """
    if policy.targets.concurrency is not None:
        return policy.targets.concurrency
    capacity = memory.pulse.capacity(policy.capacity)
    highest = load + DEVIATIONS * memory.pulse.swing(load)
    busy = max(BUSY * load / highest, LEAST_BUSY) if load else LEAST_BUSY
    return None if capacity is None else max(capacity * busy, 1.0)


def queue_depth(policy: Policy, memory: Memory) -> int | None:
    """Return how many requests may wait for a replica."""
    if policy.targets.queue_depth is not None:
        return policy.targets.queue_depth
    known = policy.targets.concurrency or memory.pulse.capacity(policy.capacity)
    return QUEUE_DEPTH if known is None else None


def missing(policy: Policy, memory: Memory, reading: Reading) -> str | None:
    """Return the name of something that the policy goes by and nobody knows."""
    if reading.jobs:
        return jobs.missing(policy, memory, reading)
    if reading.load is None:
        return "the number of requests"
    if queue_depth(policy, memory) is not None and reading.queue is None:
        return "how many requests wait"
    kv = policy.targets.kv_cache_percent is not None and reading.kv_cache_percent is None
    return "how full the KV cache is" if kv and reading.ready != 0 else None


def _open(policy: Policy, memory: Memory, load: float, bearable: float) -> Ask:
    """Return what the requests ask for that are open, or will be before a replica is ready."""
    seconds = memory.start.horizon(policy.cold_start_seconds) + MARGIN_SECONDS
    soon = load + memory.pulse.growth(seconds)
    later = f", {soon:.0f} are expected in {seconds:.0f} s" if soon >= load + 1 else ""
    sentence = f"{load:.0f} requests are open{later}, {bearable:.3g} may be at a replica"
    return Ask.of("concurrency", soon, bearable, sentence)


def _coming(rate: float, bearable: float) -> Ask:
    sentence = f"{rate:.3g} requests come a second, a replica answers {bearable:.3g} with ease"
    return Ask.of("throughput", rate, bearable, sentence)


def _full(percent: float, target: int, ready: int) -> Ask:
    sentence = f"the KV cache is {percent:.0f}% full, wanted are {target}%"
    return Ask.of("kvCachePercent", percent, target, sentence, ready)


def _slow(reading: Reading, took: float, target: int) -> Ask:
    """Return what a late first token asks for; an early one does not tell how few would do.

    While replicas start nothing more is asked for: they are not felt yet.
    """
    ready, replicas = reading.ready or 0, reading.replicas or 0
    grown = math.ceil(ready * min(took / target, MOST_GROWTH) - HALF)
    wanted = 0 if took <= target else max(grown, replicas) if replicas <= ready else replicas
    sentence = f"the first token takes {took:.0f} ms, wanted are {target} ms at most"
    return Ask(wanted, "timeToFirstTokenMilliseconds", took, target, sentence)
