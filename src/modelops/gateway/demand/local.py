"""What this gateway pod itself knows of the demand."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final
from uuid import uuid4

from httpx2 import AsyncClient

from modelops.gateway import loads
from modelops.gateway.counters import added
from modelops.gateway.demand.share import Share
from modelops.gateway.limiter.gates import gate_of
from modelops.gateway.meter import SHARE

SECONDS: Final = 1.0
"""Time between two readings of Envoy's counts, at least."""

Held = Callable[[], Mapping[str, int]]
"""Returns requests by the clusters of models."""


def nothing() -> Mapping[str, int]:
    """Hold no request."""
    return {}


@dataclass(slots=True)
class Local:
    """This pod's share; `admin` is the URL of Envoy's admin port."""

    admin: str
    held: Held = nothing
    """Requests at the activator."""
    queued: Held = nothing
    """Requests that wait for their turn at a saturated model."""
    questions: Held = nothing
    """Questions of KEDA about models, not requests."""
    read: Callable[[], None] = lambda: None
    """Called after each reading of Envoy's counts."""
    seconds: float = SECONDS
    pod: str = field(default_factory=lambda: uuid4().hex)
    in_flight: Mapping[str, int] | None = None
    arrivals: Counter[str] = field(default_factory=Counter)
    before: Mapping[str, int] | None = None
    """What Envoy had counted when it was last read."""

    @property
    def share(self) -> Share:
        """What the others are told, as of now."""
        return Share(
            pod=self.pod,
            in_flight=self.in_flight,
            held=dict(self.held()),
            queued=dict(self.queued()),
            arrivals=dict(self.arrivals),
            questions=dict(self.questions()),
        )

    @property
    def at_rest(self) -> bool:
        """Whether Envoy has no request of any model, or is not there any more."""
        return not any((self.in_flight or {}).values())

    async def run(self) -> None:
        """Read Envoy's counts about once a second until cancelled."""
        async with AsyncClient(base_url=self.admin, trust_env=False) as envoy:
            took = 0.0
            while True:
                await asyncio.sleep(max(self.seconds, SHARE * took))
                started = time.monotonic()
                counted = await loads.count(envoy)
                took = time.monotonic() - started
                self.take(counted)
                self.read()

    def keep(self, models: Collection[str]) -> None:
        """Forget what was counted of other models than these: they are gone."""
        for model in self.arrivals.keys() - models:
            del self.arrivals[model]

    def take(self, counted: loads.Counted | None) -> None:
        """Take what Envoy has counted; an Envoy that begins again counts from zero."""
        if counted is None:
            self.in_flight = None
            return
        self.in_flight = by_model(counted.active)
        now = by_model(counted.total)
        if self.before is not None:
            for model, count in now.items():
                self.arrivals[model] += added(self.before.get(model, 0), count)
        self.before = now


def by_model(counts: Mapping[str, int]) -> Counter[str]:
    """Add up the counts of a model's own cluster and of those that lead to it from a chain.

    Clusters of other things, such as Envoy's admin port, have no dot in their names.
    """
    models: Counter[str] = Counter()
    for cluster, count in counts.items():
        if "." in cluster:
            models[gate_of(cluster)] += count
    return models
