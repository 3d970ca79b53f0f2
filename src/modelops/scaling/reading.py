"""What is known of one model at one time."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Final

MOST: Final = 10_000_000
"""No model has more of anything at once: a larger number is an error of who counts."""

_LARGEST: Final = {"arrivals": math.inf, "work_seconds": math.inf, "kv_cache_percent": 100}
"""What else some may be."""

END: Final = 250_000_000_000.0
"""Calendars end soon after."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What all gateways and engines say of one model; None is not known.

    ``at`` is in unix seconds. ``replicas`` were asked for and ``ready`` of them serve.
    ``in_flight`` requests are open at the gateways, the ``held`` ones among them; ``waiting`` and
    ``running`` are those in the engines. ``kv_cache_percent`` is a mean over the ready
    replicas; nine of ten requests of late had their first token within ``ttft_milliseconds``.
    ``arrivals`` counts all requests so far. ``whole`` is false when a gateway or an engine did not
    answer: the counts are then the least there can be.

    Of a model that does ``jobs`` the counts are those of its queue, which all gateways see alike:
    they are not added up. ``work_seconds`` is how long one replica would have to do with them, and
    ``busy`` replicas have a job.
    """

    at: float
    replicas: int | None = None
    ready: int | None = None
    in_flight: float | None = None
    held: float | None = None
    waiting: float | None = None
    running: float | None = None
    kv_cache_percent: float | None = None
    ttft_milliseconds: float | None = None
    arrivals: float | None = None
    whole: bool = True
    jobs: bool = False
    work_seconds: float | None = None
    busy: float | None = None

    @property
    def timed(self) -> bool:
        """Whether ``at`` can be a time."""
        return 0 <= self.at < END

    @property
    def load(self) -> float | None:
        """The requests that are open, held, waiting or worked on; None when nobody knows."""
        engines = _total(self.waiting, self.running, self.held)
        known = [count for count in (self.in_flight, engines) if count is not None]
        return max(known, default=None)

    @property
    def queue(self) -> float | None:
        """The requests that nobody works on."""
        return _total(self.waiting, self.held)

    @property
    def silent(self) -> bool:
        """Whether every count is known, and nothing is there."""
        counts = (self.in_flight, self.held, self.waiting, self.running)
        return self.whole and all(count == 0 for count in counts)

    def believed(self) -> tuple["Reading", tuple[str, ...]]:
        """Return it without what cannot be true, and the names of that."""
        lies = tuple(f.name for f in fields(self) if _lies(f.name, getattr(self, f.name)))
        without: dict[str, Any] = dict.fromkeys(lies)
        return (replace(self, **without, whole=False), lies) if lies else (self, ())


def _total(*counts: float | None) -> float | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _lies(name: str, value: float | None) -> bool:
    if value is None or name in {"at", "whole", "jobs"}:
        return False
    return not (math.isfinite(value) and 0 <= value <= _LARGEST.get(name, MOST))
