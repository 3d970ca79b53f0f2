"""What requests hold while they run, and which have ended though nobody said so (pure)."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

LOST_READINGS: Final = 20
"""A place that no request of its model can have for so many readings is given back: connecting
to an engine, which Envoy does not count yet, takes fewer."""

LONGEST_SECONDS: Final = 3600.0
"""So long a request holds its place at most."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a request has: places under limits, and one at a model; `since` is in seconds.

    ``cluster`` is where Envoy sends it, None where that may be one of several.
    """

    addresses: tuple[str, ...] = ()
    gate: str = ""
    cluster: str | None = None
    since: float = 0.0


@dataclass(slots=True)
class Leases:
    """What is held, by lease, in the order in which it was lent."""

    held: dict[str, Held] = field(default_factory=dict)
    _excess: Counter[str] = field(default_factory=Counter, init=False)
    """For how many readings a model has had fewer requests than are held for it."""
    _idle: int = field(default=0, init=False)

    def begin(self, lease: str, held: Held) -> None:
        """Lend."""
        self.held[lease] = held

    def end(self, lease: str) -> Held:
        """Take back what a lease holds: nothing, the second time."""
        return self.held.pop(lease, Held())

    def lost(self, active: Mapping[str, int], now: float) -> set[str]:
        """Return the leases of requests that have ended, by what Envoy has at each cluster now."""
        self._idle = 0 if any(active.values()) else self._idle + 1
        if self._idle >= LOST_READINGS:
            return set(self.held)
        old = {lease for lease, one in self.held.items() if now - one.since >= LONGEST_SECONDS}
        return old.union(*self._beyond(active))

    def _beyond(self, active: Mapping[str, int]) -> Iterator[list[str]]:
        """Yield, of each model that has had too few requests for long, so many of the oldest."""
        lent: dict[str, list[str]] = {}
        for lease, one in self.held.items():
            if one.cluster:
                lent.setdefault(one.cluster, []).append(lease)
        beyond = {c: leases for c, leases in lent.items() if len(leases) > active.get(c, 0)}
        self._excess = Counter({cluster: self._excess[cluster] + 1 for cluster in beyond})
        for cluster, leases in beyond.items():
            if self._excess[cluster] >= LOST_READINGS:
                yield leases[: len(leases) - active.get(cluster, 0)]
