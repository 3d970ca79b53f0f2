"""The lowest and highest values of the recent past, in few slices."""

from dataclasses import dataclass
from typing import Final

SLICES: Final = 32
"""A window is remembered in so many slices, however often something is added."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The extremes of a time that begins at ``since``."""

    since: float
    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class Window:
    """What was asked for, or decided, in the last while."""

    slices: tuple[Slice, ...] = ()

    def add(self, at: float, value: int, seconds: float) -> "Window":
        """Return it with one value more and without what is older than ``seconds``."""
        kept = [s for s in self.slices if s.since > at - seconds - self._width(seconds)]
        if kept and at - kept[-1].since < self._width(seconds):
            last = kept.pop()
            low, high = min(last.lowest, value), max(last.highest, value)
            return Window((*kept, Slice(last.since, low, high)))
        return Window((*kept, Slice(at, value, value)))

    def lowest(self, since: float) -> int | None:
        """Return the lowest value since then."""
        return min((s.lowest for s in self._after(since)), default=None)

    def highest(self, since: float) -> int | None:
        """Return the highest value since then."""
        return max((s.highest for s in self._after(since)), default=None)

    def _after(self, since: float) -> tuple[Slice, ...]:
        """Return the slices that reach past ``since``; a slice ends where the next begins."""
        ends = [s.since for s in self.slices[1:]] + [float("inf")]
        return tuple(s for s, end in zip(self.slices, ends, strict=False) if end > since)

    @staticmethod
    def _width(seconds: float) -> float:
        return seconds / SLICES
