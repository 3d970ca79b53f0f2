"""Whether what was lost is less than what the recipe allows (pure)."""

from collections.abc import Mapping
from math import inf
from typing import Any

from modelops.builders.recipe import Gate, Metric

_LOST: Mapping[Metric, str] = {
    "kl": "the mean divergence of the next-token distributions is {lost:.4g} nats",
    "perplexity": "perplexity rises by {percent:.2f}%",
    "agreement": "{percent:.2f}% of the tokens are no longer the base's",
}

_MEASURED: Mapping[Metric, str] = {
    "kl": "kl",
    "perplexity": "perplexityAfter",
    "agreement": "agreement",
}


def judge(gate: Gate, quality: Mapping[str, Any]) -> dict[str, Any]:
    """Return the verdict on measured quality, as a document.

    What could not be measured (not a number) has not passed.
    """
    lost = drop(gate.metric, quality)
    passed = lost <= float(gate.limit)
    told = _LOST[gate.metric].format(lost=lost, percent=lost * 100)
    allowed = f"{gate.max_drop} nats" if gate.metric == "kl" else f"{float(gate.limit) * 100:g}%"
    return {
        "metric": gate.metric,
        "maxDrop": gate.max_drop,
        "drop": _number(lost),
        "passed": passed,
        "sentence": f"{told}; {'at most' if passed else 'but at most'} {allowed} may be lost",
    }


def drop(metric: Metric, quality: Mapping[str, Any]) -> float:
    """Return how much of a metric was lost: infinitely much where it is no number."""
    after = quality[_MEASURED[metric]]
    if after is None:
        return inf
    if metric == "kl":
        return float(after)
    if metric == "agreement":
        return 1 - float(after)
    return float(after) / float(quality["perplexityBefore"]) - 1


def _number(value: float) -> str:
    return f"{value:.6g}"
