"""What an engine's page of metrics says of its load (pure)."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

WAITING: Final = ("vllm:num_requests_waiting", "llamacpp:requests_deferred")
RUNNING: Final = ("vllm:num_requests_running", "llamacpp:requests_processing")
"""The same of each engine: a page has the names of one."""

CACHE: Final = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
"""vLLM's names for the same: the newer one and the older one."""

FIRSTS: Final = "vllm:time_to_first_token_seconds_bucket"

MOST_CHARACTERS: Final = 256 * 1024
"""Of lines that are read: those of an engine with a hundred cores."""

MOST_BOUNDS: Final = 256
"""Of a histogram, of which half a minute is remembered once a second."""

NAMES: Final = (*WAITING, *RUNNING, *CACHE, FIRSTS)
WANTED: Final = re.compile(rf"^(?:{'|'.join(map(re.escape, NAMES))})[ {{]")
"""Lines that are read: a page has hundreds, and parsing all of them costs far more."""


@dataclass(frozen=True, slots=True)
class Load:
    """One engine's load; None is not known.

    ``waiting`` and ``running`` count requests. ``firsts`` counts first tokens so far by the most
    seconds that they took, as a histogram: each count includes those of smaller bounds.
    """

    waiting: float | None = None
    running: float | None = None
    kv_cache_percent: float | None = None
    firsts: Mapping[float, float] = field(default_factory=dict)


def parse(lines: Iterable[str]) -> Load:
    """Return the load that the lines of a page tell; raises ValueError when they are no such page.

    An engine with several cores has a sample of each: counts add up, and the fullest cache counts.
    """
    text = "".join(f"{line}\n" for line in lines if WANTED.match(line))
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"{len(text)} characters of figures")
    found: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append(sample)

    def named(names: Iterable[str]) -> list[Sample]:
        return [sample for name in names for sample in found.get(name, ())]

    fullest = _all(named(CACHE))
    return Load(
        waiting=_sum(named(WAITING)),
        running=_sum(named(RUNNING)),
        kv_cache_percent=100 * max(fullest) if fullest else None,
        firsts=_histogram(found.get(FIRSTS, ())),
    )


def _sum(samples: Iterable[Sample]) -> float | None:
    values = _all(samples)
    return sum(values) if values else None


def _all(samples: Iterable[Sample]) -> list[float]:
    """Return the values; none when one of them is no number: the rest would be too little."""
    values = [sample.value for sample in samples]
    return values if all(math.isfinite(v) and v >= 0 for v in values) else []


def _histogram(samples: Iterable[Sample]) -> dict[float, float]:
    counts: dict[float, float] = {}
    for sample in samples:
        bound = float(sample.labels["le"])
        counts[bound] = counts.get(bound, 0) + sample.value
    if len(counts) > MOST_BOUNDS:
        raise ValueError(f"a histogram of {len(counts)} bounds")
    return counts if all(map(math.isfinite, counts.values())) else {}
