"""What is learnt of a model while it is watched: its load, its trend, what a replica can do."""

import math
from dataclasses import dataclass, replace
from typing import Final

from modelops.scaling.reading import Reading

FAST_SECONDS: Final = 30.0
SLOW_SECONDS: Final = 120.0
"""Means of the load that forget so soon; their difference is its trend."""

SPREAD_SECONDS: Final = 600.0
"""How far the load is from its mean is a mean over so long."""

OWN_SECONDS: Final = 300.0
"""What a replica's cache holds is a mean over so long."""

PRESSED: Final = 4
"""So many requests wait at a replica that is at its limit; fewer do so by chance."""

KEPT_SECONDS: Final = 20.0
"""Requests that have waited for so long at every replica are no chance: this is the limit."""

LIMIT_SECONDS: Final = 21_600.0
"""How long a limit is remembered."""

CACHED_PERCENT: Final = 3.0
"""A cache that is emptier tells nothing of what it can hold."""

NOISE: Final = 1.5
"""A trend counts as far as it is more than so many deviations of a load that comes by chance."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """Means over the recent past, since ``watched`` seconds; zero where nothing was seen yet.

    ``load`` are the requests that are open, ``fast`` and ``slow`` means of them, ``spread`` is how
    far they are from ``fast``, squared. ``coming`` are requests a second, ``done`` those that were
    answered a second by one replica, and ``most`` the highest that this was; at the limit it is
    forgotten soon, for requests may have become longer.
    ``running`` and ``cached`` are what one replica works on and its cache in percent.
    ``pressed_since`` is since when every replica lets requests wait or is slower than wanted;
    ``limited_at`` is when that had last been so for long.
    """

    at: float | None = None
    watched: float = 0.0
    load: float = 0.0
    fast: float = 0.0
    slow: float = 0.0
    spread: float = 0.0
    coming: float = 0.0
    done: float = 0.0
    most: float = 0.0
    running: float = 0.0
    cached: float = 0.0
    pressed_since: float | None = None
    limited_at: float | None = None

    def feel(self, reading: Reading, arrived: float, *, slow: bool) -> "Pulse":
        """Return it after a whole reading, before which ``arrived`` requests came.

        ``slow`` says whether the first token came later than wanted.
        """
        load = reading.load or 0.0
        if self.at is None:
            return replace(self, at=reading.at, load=load, fast=load, slow=load)
        pulse = _flown(self, reading, arrived, reading.at - self.at)
        return _pressed(_owned(pulse, reading, reading.at - self.at), reading, slow=slow)

    def pause(self, at: float, load: float) -> "Pulse":
        """Return it after a time that nobody watched: what replicas can do stays true."""
        return replace(
            self, at=at, watched=0.0, load=load, fast=load, slow=load, pressed_since=None
        )

    def capacity(self, given: int | None) -> float | None:
        """Return how many requests a replica can work on: as its engine says, or its cache."""
        if self.cached < CACHED_PERCENT:
            return given
        fitting = 100 * self.running / self.cached
        return fitting if given is None else min(given, fitting)

    def growth(self, seconds: float) -> float:
        """Return how many more requests will be open after so long, if the trend goes on."""
        trend = self.fast - self.slow - NOISE * math.sqrt(max(self.slow, 1.0))
        return max(trend, 0.0) / (SLOW_SECONDS - FAST_SECONDS) * seconds

    def swing(self, load: float) -> float:
        """Return the deviation of a load around so many requests: as seen, or that of chance."""
        return math.sqrt(max(self.spread / max(self.slow, 1.0), 1.0) * load)

    @property
    def limit(self) -> float | None:
        """Return how many requests a second a replica can answer; None where it was never seen."""
        if self.at is None or self.limited_at is None or self.most == 0:
            return None
        return self.most if self.at - self.limited_at < LIMIT_SECONDS else None


def _flown(pulse: Pulse, reading: Reading, arrived: float, seconds: float) -> Pulse:
    """Return it with what came and went."""
    load = reading.load or 0.0
    gone = max(arrived - (load - pulse.load), 0.0) / seconds
    watched = pulse.watched + seconds
    fast, slow = _share(watched, seconds, FAST_SECONDS), _share(watched, seconds, SLOW_SECONDS)
    spread = _share(watched, seconds, SPREAD_SECONDS)
    done = pulse.done + fast * (gone / (reading.ready or math.inf) - pulse.done)
    pressed = pulse.pressed_since is not None and reading.at - pulse.pressed_since >= KEPT_SECONDS
    most = pulse.most * (math.exp(-seconds / SLOW_SECONDS) if pressed else 1.0)
    return replace(
        pulse,
        at=reading.at,
        watched=watched,
        load=load,
        fast=pulse.fast + fast * (load - pulse.fast),
        slow=pulse.slow + slow * (load - pulse.slow),
        spread=pulse.spread + spread * ((load - pulse.fast) ** 2 - pulse.spread),
        coming=pulse.coming + fast * (arrived / seconds - pulse.coming),
        done=done,
        most=max(most, done) if watched >= FAST_SECONDS else most,
    )


def _owned(pulse: Pulse, reading: Reading, seconds: float) -> Pulse:
    """Return it with what one replica works on."""
    if not reading.ready or not reading.running or reading.kv_cache_percent is None:
        return pulse
    share = _share(pulse.watched, seconds, OWN_SECONDS)
    running = pulse.running + share * (reading.running / reading.ready - pulse.running)
    cached = pulse.cached + share * (reading.kv_cache_percent - pulse.cached)
    return replace(pulse, running=running, cached=cached)


def _pressed(pulse: Pulse, reading: Reading, *, slow: bool) -> Pulse:
    """Return it with whether the replicas are at their limit."""
    ready, waiting = reading.ready or 0, reading.waiting or 0.0
    if not ready or not (slow or waiting >= PRESSED * ready):
        return replace(pulse, pressed_since=None)
    since = reading.at if pulse.pressed_since is None else pulse.pressed_since
    limited = reading.at if reading.at - since >= KEPT_SECONDS else pulse.limited_at
    return replace(pulse, pressed_since=since, limited_at=limited)


def _share(watched: float, seconds: float, forget: float) -> float:
    """Return how much the last seconds count in a mean that forgets so soon."""
    return 1.0 - math.exp(-seconds / min(forget, max(watched, seconds)))
