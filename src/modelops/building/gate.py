"""Whether what was lost is less than what the recipe allows (pure)."""

from collections.abc import Mapping
from math import inf
from typing import Any, Final

from modelops.builders.recipe import Gate, Metric

_LOST: Final[Mapping[Metric, str]] = {
    "kl": "the mean divergence of the next-token distributions is {lost:.4g} nats",
    "perplexity": "perplexity rises by {percent:.2f}%",
    "agreement": "{percent:.2f}% of the answers are no longer the base's",
    "pixels": "pixels are off by {percent:.2f}% of full brightness on average",
    "ssim": "structural similarity falls by {percent:.2f}%",
    "cosine": "the cosine to the base's embeddings falls by {percent:.2f}%",
    "rank": "the rank correlation of similarities falls by {percent:.2f}%",
}

_DISTANCES: Final = ("kl", "pixels")
"""What is measured as a loss; the others are shares, of which 1 is best, but for perplexity."""


def judge(gate: Gate, quality: Mapping[str, Any]) -> dict[str, Any]:
    """Return the verdict on measured quality, as a document; the gate must name its metric.

    What could not be measured (not a number) has not passed.
    """
    metric = gate.metric or "kl"
    lost = drop(metric, quality)
    passed = lost <= float(gate.limit)
    told = _LOST[metric].format(lost=lost, percent=lost * 100)
    allowed = f"{gate.max_drop} nats" if metric == "kl" else f"{float(gate.limit) * 100:g}%"
    return {
        "metric": metric,
        "maxDrop": gate.max_drop,
        "drop": _number(lost),
        "passed": passed,
        "sentence": f"{told}; {'at most' if passed else 'but at most'} {allowed} may be lost",
    }


def drop(metric: Metric, quality: Mapping[str, Any]) -> float:
    """Return how much of a metric was lost: infinitely much where it is no number."""
    after = quality.get("perplexityAfter" if metric == "perplexity" else metric)
    if after is None:
        return inf
    if metric == "perplexity":
        return float(after) / float(quality["perplexityBefore"]) - 1
    return float(after) if metric in _DISTANCES else 1 - float(after)


def _number(value: float) -> str:
    return f"{value:.6g}"
