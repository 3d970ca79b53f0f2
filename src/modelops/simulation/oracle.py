"""Somebody who knows the future: the cheapest plan of replicas that a search finds.

A plan has a replica for each so many requests that are open within a while, asks for it a cold
start ahead, and keeps it through dips that are shorter than one. All whiles are tried, each with
as many requests a replica as the objective allows, and the lowest number that is enough all the
time. Then, block by block, whatever can be left out is left out, again and again, from the cheapest
of the former and from the latter.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from modelops.simulation.scalers import Planned
from modelops.simulation.world import Played

WHILES: Final = (1, 10, 30, 60)
"""Seconds that a plan looks ahead and back."""

SAVES: Final = 0.99
"""A search goes on while it brings the hours down to less than this share."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The number of replicas asked for in each second."""

    counts: tuple[int, ...]

    @property
    def scaler(self) -> Planned:
        """Somebody who follows it."""
        counts = self.counts
        changes = [n for n in range(len(counts)) if n == 0 or counts[n] != counts[n - 1]]
        return Planned([float(n) for n in changes], [counts[n] for n in changes])

    def less(self, begin: int, block: int) -> "Plan":
        """Return it with one replica less in a block of seconds."""
        part = tuple(max(count - 1, 0) for count in self.counts[begin : begin + block])
        return Plan(self.counts[:begin] + part + self.counts[begin + block :])


@dataclass(frozen=True, slots=True)
class Found:
    """A plan that is good, what became of the trace by it, and how many requests were late."""

    plan: Plan
    played: Played
    late: int

    @property
    def hours(self) -> float:
        """What it costs."""
        return self.played.replica_hours


Trial = Callable[[Plan, int], Found | None]
"""Plays a plan; None when more requests are late than that number."""


def oracle(
    load: Sequence[int], trial: Trial, most_late: int, cold_start: float, block: int
) -> Found | None:
    """Return the cheapest outcome found in which no more are late, or None when no plan is good.

    ``load`` is how many requests are open in each second with replicas to spare. ``block`` is how
    many seconds are thinned out at a time; 0 leaves that out.
    """
    found = [
        one for seconds in WHILES for one in _densest(load, trial, most_late, cold_start, seconds)
    ]
    if not found:
        return None
    best = min(found, key=_hours)
    if not block:
        return best
    begun = [best, *_fixed(len(load), math.ceil(max(load)), trial, most_late)]
    return min((_search(one, trial, most_late, block) for one in begun), key=_hours)


def _densest(
    load: Sequence[int], trial: Trial, most_late: int, cold_start: float, seconds: int
) -> Iterator[Found]:
    """Yield the good plans on the way to as many requests a replica as there can be."""
    peaks = _highest(load, seconds, seconds)
    low, high = 0.5, float(max(*load, 2))
    while high / low > 1.02:
        middle = math.sqrt(low * high)
        counts = [max(0, math.ceil(peak / middle)) for peak in peaks]
        found = trial(Plan(tuple(_highest(counts, 0, math.ceil(cold_start)))), most_late)
        if found:
            low = middle
            yield found
        else:
            high = middle


def _fixed(seconds: int, most: int, trial: Trial, most_late: int) -> Iterator[Found]:
    """Yield the lowest number of replicas that is good all the time."""
    low, high, best = 0, most, None
    while high - low > 1:
        middle = (low + high) // 2
        found = trial(Plan((middle,) * seconds), most_late)
        if found:
            high, best = middle, found
        else:
            low = middle
    if best is not None:
        yield best


def _search(best: Found, trial: Trial, most_late: int, block: int) -> Found:
    """Thin a plan out, in smaller and smaller blocks, until that saves nothing any more."""
    while True:
        before = best.hours
        for size in (2 * block, block, block // 2):
            best = _thinned(best, trial, most_late, size)
        if best.hours > SAVES * before:
            return best


def _thinned(best: Found, trial: Trial, most_late: int, block: int) -> Found:
    """Return it with one replica less in every block where that is good and cheaper."""
    for begin in range(0, len(best.plan.counts), max(block, 1)):
        found = trial(best.plan.less(begin, block), most_late)
        if found and found.hours < best.hours:
            best = found
    return best


def _hours(found: Found) -> float:
    return found.hours


def _highest(values: Sequence[int], back: int, ahead: int) -> list[int]:
    """Return the highest of each value's neighbours."""
    return [max(values[max(n - back, 0) : n + ahead + 1]) for n in range(len(values))]
