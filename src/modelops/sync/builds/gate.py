"""Whether what was lost is no more than may be lost, from what was measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from modelops.builders.recipe import Gate

_DIGITS: Final = 30
"""Before or behind the point: what has more is no measure of anything."""

_DISTANCES: Final = ("kl", "pixels")
_SHARES: Final = ("agreement", "ssim", "cosine", "rank")
MEASURES: Final = ("perplexityBefore", "perplexityAfter", *_DISTANCES, *_SHARES)
_CALLED: Final = {
    "kl": "KL",
    "perplexity": "the rise of perplexity",
    "agreement": "the share that no longer agrees",
    "pixels": "the mean difference of pixels",
    "ssim": "the loss of structural similarity",
    "cosine": "the loss of the embeddings' cosine",
    "rank": "the loss of rank correlation",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether a gate holds, and the sentence that says why."""

    holds: bool
    sentence: str


def judge_gate(gate: Gate, quality: Mapping[str, Any]) -> Judgement:
    """Return the judgement on measured quality; what was not measured does not hold.

    The gate must name its metric.
    """
    metric = gate.metric or "kl"
    lost = _lost(metric, quality)
    called = _CALLED[metric]
    if lost is None:
        return Judgement(holds=False, sentence=f"{called} was not measured")
    holds = lost <= Decimal(gate.max_drop)
    told = "is within" if holds else "is above"
    return Judgement(holds, f"{called} {_shown(lost)} {told} {gate.max_drop}")


def decimal(value: object) -> Decimal | None:
    """Return a number as another program wrote it; None if it is none, or none that counts."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number.adjusted()) < _DIGITS else None


def measured(quality: object) -> dict[str, str]:
    """Return the measures that are numbers, as decimals in plain digits."""
    given = quality if isinstance(quality, Mapping) else {}
    known = {name: decimal(given.get(name)) for name in MEASURES}
    return {name: _shown(value) for name, value in known.items() if value is not None}


def _lost(metric: str, quality: Mapping[str, Any]) -> Decimal | None:
    if metric in _DISTANCES:
        return decimal(quality.get(metric))
    if metric in _SHARES:
        share = decimal(quality.get(metric))
        return None if share is None else 1 - share
    before, after = (decimal(quality.get(f"perplexity{when}")) for when in ("Before", "After"))
    return None if before is None or after is None or before <= 0 else after / before - 1


def _shown(value: Decimal) -> str:
    """Return a number with six digits that count, never as a power of ten."""
    return format(Decimal(f"{value:.6g}"), "f")
