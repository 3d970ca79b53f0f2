"""How long replicas take to start, learnt from those that did."""

from dataclasses import dataclass, replace
from typing import Final

UNKNOWN_SECONDS: Final = 60.0
"""Until a start was seen."""

LOST_SECONDS: Final = 3600.0
"""A start that takes longer is none: there is no room for the replica, or it fails."""


@dataclass(frozen=True, slots=True)
class Start:
    """The usual ``seconds`` of a start; ``since`` when ``wanted`` replicas have been waited for."""

    seconds: float | None = None
    since: float | None = None
    wanted: int = 0

    def ask(self, at: float, ready: int | None, wanted: int) -> "Start":
        """Return it after so many replicas were asked for."""
        if ready is None or wanted <= ready or (self.since is not None and wanted < self.wanted):
            return replace(self, since=None)
        return self if self.since is not None else replace(self, since=at, wanted=wanted)

    def see(self, at: float, ready: int | None) -> "Start":
        """Return it after so many replicas were seen ready."""
        if self.since is None or ready is None:
            return self
        took = at - self.since
        if took > LOST_SECONDS:
            return replace(self, since=None)
        if ready < self.wanted:
            return self
        mean = took if self.seconds is None else (self.seconds + took) / 2
        return replace(self, seconds=mean, since=None)

    def horizon(self, given: float | None) -> float:
        """Return how many seconds ahead replicas must be asked for."""
        known = self.seconds if given is None else given
        return UNKNOWN_SECONDS if known is None else known
