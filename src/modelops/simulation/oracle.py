"""Somebody who knows the future: the cheapest plan of replicas that a search finds.

A plan has a replica for each so many requests that are open within a while, asks for it a cold
start ahead, and keeps it through dips that are shorter than one. All whiles are tried, each with
as many requests a replica as the objective allows, and the lowest number that is enough all the
time; then, block by block, whatever can be left out is left out, again and again.
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


def oracle(
    load: Sequence[int],
    play: Callable[[Plan], Played],
    good: Callable[[Played], bool],
    cold_start: float,
    block: int,
) -> Played | None:
    """Return the cheapest outcome found, or None when no plan is good.

    ``load`` is how many requests are open in each second with replicas to spare. ``block`` is how
    many seconds are thinned out at a time; 0 leaves that out.
    """
    found = [plan for seconds in WHILES for plan in _densest(load, play, good, cold_start, seconds)]
    if not found:
        return None
    best = min(found, key=_hours)
    if not block:
        return best[1]
    begun = [best, *_fixed(len(load), math.ceil(max(load)), play, good)]
    return min((_search(pair, play, good, block) for pair in begun), key=_hours)[1]


def _densest(
    load: Sequence[int],
    play: Callable[[Plan], Played],
    good: Callable[[Played], bool],
    cold_start: float,
    seconds: int,
) -> Iterator[tuple[Plan, Played]]:
    """Yield the good plans on the way to as many requests a replica as there can be."""
    peaks = _highest(load, seconds, seconds)
    low, high = 0.5, float(max(*load, 2))
    while high / low > 1.02:
        middle = math.sqrt(low * high)
        counts = [max(0, math.ceil(peak / middle)) for peak in peaks]
        plan = Plan(tuple(_highest(counts, 0, math.ceil(cold_start))))
        played = play(plan)
        if good(played):
            low = middle
            yield plan, played
        else:
            high = middle


def _fixed(
    seconds: int, most: int, play: Callable[[Plan], Played], good: Callable[[Played], bool]
) -> Iterator[tuple[Plan, Played]]:
    """Yield the lowest number of replicas that is good all the time."""
    low, high, found = 0, most, None
    while high - low > 1:
        middle = (low + high) // 2
        plan = Plan((middle,) * seconds)
        played = play(plan)
        if good(played):
            high, found = middle, (plan, played)
        else:
            low = middle
    if found is not None:
        yield found


def _search(
    begun: tuple[Plan, Played],
    play: Callable[[Plan], Played],
    good: Callable[[Played], bool],
    block: int,
) -> tuple[Plan, Played]:
    """Thin a plan out, in smaller and smaller blocks, until that saves nothing any more."""
    while True:
        before = _hours(begun)
        for size in (2 * block, block, block // 2):
            begun = _thinned(*begun, play, good, size)
        if _hours(begun) > SAVES * before:
            return begun


def _hours(found: tuple[Plan, Played]) -> float:
    return found[1].replica_hours


def _highest(values: Sequence[int], back: int, ahead: int) -> list[int]:
    """Return the highest of each value's neighbours."""
    return [max(values[max(n - back, 0) : n + ahead + 1]) for n in range(len(values))]


def _thinned(
    plan: Plan,
    played: Played,
    play: Callable[[Plan], Played],
    good: Callable[[Played], bool],
    block: int,
) -> tuple[Plan, Played]:
    """Return it with one replica less in every block where that is good and cheaper."""
    for begin in range(0, len(plan.counts), max(block, 1)):
        less = plan.less(begin, block)
        found = play(less)
        if found.replica_hours < played.replica_hours and good(found):
            plan, played = less, found
    return plan, played
