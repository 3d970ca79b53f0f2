"""How long first tokens take, from how histograms grow (pure)."""

import math
from collections.abc import Iterable, Mapping
from typing import Final

Histogram = Mapping[float, float]
QUANTILE: Final = 0.9
"""A target says what nine of ten requests wait for the first token at most."""


def grown(before: Histogram, now: Histogram) -> dict[float, float]:
    """Return what was added to a histogram; one that shrank was started again at zero."""
    if any(count < before.get(bound, 0) for bound, count in now.items()):
        return dict(now)
    return {bound: count - before.get(bound, 0) for bound, count in now.items()}


def slowest(histograms: Iterable[Histogram]) -> float | None:
    """Return the milliseconds that nine of ten took at most; None when there were none.

    Within a bucket they are taken to be spread evenly; beyond the last bound it is that bound.
    """
    total: dict[float, float] = {}
    for histogram in histograms:
        for bound, count in histogram.items():
            total[bound] = total.get(bound, 0) + count
    wanted = QUANTILE * total.get(math.inf, 0)
    if not wanted > 0:
        return None
    low, below = 0.0, 0.0
    for bound, count in sorted(total.items()):
        if count >= wanted:
            inside = (wanted - below) / (count - below)
            return 1000 * (low if bound == math.inf else low + (bound - low) * inside)
        low, below = bound, count
    return 1000 * low
