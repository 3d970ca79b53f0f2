"""How many replicas a model is to have, and why."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decision:
    """How many replicas, and what caused it.

    ``metric`` names the target (queueDepth, queueSeconds, concurrency, kvCachePercent,
    timeToFirstTokenMilliseconds) or the reason (throughput, busy, held, schedule, minimum,
    maximum, pace, window, idle, off, missing). ``value`` was read, ``target`` is what a replica
    may have; None where there is none. ``sentence`` tells people.
    """

    replicas: int
    metric: str
    sentence: str
    value: float | None = None
    target: float | None = None

    @property
    def active(self) -> bool:
        """Whether any replica is to serve."""
        return self.replicas > 0
