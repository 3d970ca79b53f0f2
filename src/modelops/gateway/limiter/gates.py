"""The gates of all saturated models at one gateway pod: put up when needed, then taken away."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from modelops.gateway.limiter.gate import Gate, saturated
from modelops.gateway.limiter.queue import Ticket
from modelops.gateway.limiter.turnstile import Turnstile


def gate_of(cluster: str) -> str:
    """Return the cluster of the model that a request goes to: chains are named ROUTE/MODEL."""
    first, slash, model = cluster.partition("/")
    return f"{first.partition('.')[0]}.{model}" if slash else cluster


@dataclass(slots=True)
class Gates:
    """Turnstiles by the clusters of models; ``room`` tells how many requests of one may run."""

    turnstiles: dict[str, Turnstile] = field(default_factory=dict)

    @property
    def busy(self) -> frozenset[str]:
        """The models that are saturated."""
        return frozenset(self.turnstiles)

    def queued(self) -> dict[str, int]:
        """Return how many requests wait for their turn, by the clusters of models."""
        waiting = {cluster: len(one.waiting) for cluster, one in self.turnstiles.items()}
        return {cluster: count for cluster, count in waiting.items() if count}

    async def enter(self, cluster: str, ticket: Ticket) -> bool:
        """Wait for one's turn where that is necessary; return False when it does not come."""
        turnstile = self.turnstiles.get(cluster)
        return turnstile is None or await turnstile.enter(ticket)

    def leave(self, cluster: str, lease: str) -> None:
        """Let a request end, and the next one in."""
        if turnstile := self.turnstiles.get(cluster):
            turnstile.leave(lease)

    def measure(self, loads: Mapping[str, int], room: Callable[[str], int]) -> None:
        """Hear how many requests each model has now."""
        for cluster, active in loads.items():
            if cluster not in self.turnstiles and saturated(active, room(cluster)):
                self.turnstiles[cluster] = Turnstile(Gate(room(cluster), others=active))
        for cluster, turnstile in tuple(self.turnstiles.items()):
            size = room(cluster)
            # A model without replicas answers by itself: whoever waits shall hear that.
            turnstile.measure(loads.get(cluster, 0), size or 2**31)
            if not turnstile.gate.needed or not size:
                del self.turnstiles[cluster]
