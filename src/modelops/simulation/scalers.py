"""Who scales: this platform, plain KEDA on queue depth, a fixed number, a plan made beforehand."""

import math
from bisect import bisect_right
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from modelops.scaling.decide import decide
from modelops.scaling.decision import Decision
from modelops.scaling.memory import Memory
from modelops.scaling.policy import Policy
from modelops.scaling.reading import Reading


@dataclass(slots=True)
class Modelops:
    """The decision of this platform, once a second, written ``every`` so many seconds."""

    policy: Policy
    every: float = 1.0
    blind: bool = field(default=False, init=False)
    memory: Memory = field(default_factory=Memory)
    decision: Decision | None = None

    def wanted(self, reading: Reading) -> int:
        """Decide as the gateway's control process does."""
        self.decision, self.memory = decide(self.policy, self.memory, reading)
        return self.decision.replicas


HPA_SECONDS: Final = 15.0
HPA_TOLERANCE: Final = 0.1
HPA_DOWN_SECONDS: Final = 300.0
HPA_UP_PODS: Final = 4


@dataclass(slots=True)
class Keda:
    """A ScaledObject on the requests that wait, with KEDA's and the autoscaler's own defaults.

    KEDA itself goes between zero and one, at each poll and after its cooldown; between one and the
    maximum the HorizontalPodAutoscaler does, every 15 s: the queue over the target, rounded up;
    nothing within its tolerance of 10%; up by 4 or twofold at most, down to the most that it wanted
    in 300 s.
    """

    minimum: int
    maximum: int
    target: float
    polling_seconds: float = 30.0
    cooldown_seconds: float = 300.0
    every: float = 1.0
    blind: bool = field(default=False, init=False)
    polled: float = field(default=-math.inf, init=False)
    synced: float = field(default=-math.inf, init=False)
    active: float = field(default=0.0, init=False)
    recommended: deque[tuple[float, int]] = field(default_factory=deque, init=False)

    def wanted(self, reading: Reading) -> int:
        """Do what is due, and return the number of replicas after it."""
        replicas = reading.replicas or 0
        if reading.at - self.polled >= self.polling_seconds:
            self.polled = reading.at
            replicas = self._poll(reading, replicas)
        if replicas and reading.at - self.synced >= HPA_SECONDS:
            self.synced = reading.at
            replicas = self._sync(reading, replicas)
        return replicas

    def _poll(self, reading: Reading, replicas: int) -> int:
        if reading.queue:
            self.active = reading.at
            return max(replicas, 1)
        idle = reading.at - self.active >= self.cooldown_seconds
        return 0 if idle and self.minimum == 0 else replicas

    def _sync(self, reading: Reading, replicas: int) -> int:
        queue = reading.queue or 0.0
        near = abs(queue / (self.target * replicas) - 1) <= HPA_TOLERANCE
        desired = replicas if near else math.ceil(queue / self.target)
        desired = min(max(desired, self.minimum, 1), self.maximum)
        self.recommended.append((reading.at, desired))
        while self.recommended[0][0] < reading.at - HPA_DOWN_SECONDS:
            self.recommended.popleft()
        most = max(count for _, count in self.recommended)
        if desired < replicas:
            return min(most, replicas)
        return min(desired, max(2 * replicas, replicas + HPA_UP_PODS))


@dataclass(slots=True)
class Fixed:
    """Always the same number."""

    replicas: int
    every: float = 60.0
    blind: bool = field(default=True, init=False)

    def wanted(self, reading: Reading) -> int:
        """Return that number, whatever is read."""
        del reading
        return self.replicas


@dataclass(slots=True)
class Planned:
    """A plan: numbers of replicas, and from when each of them holds."""

    times: list[float]
    counts: list[int]
    every: float = 1.0
    blind: bool = field(default=True, init=False)

    def wanted(self, reading: Reading) -> int:
        """Return what the plan says."""
        return self.counts[max(bisect_right(self.times, reading.at) - 1, 0)]
