"""What requests use and how long they take: the names of what the module in Envoy counts.

A count has the labels tenant, key (the API key's id), model, which is empty for requests that
reached no model, and path; a time those of model and path, and the error's status.
"""

from collections.abc import Sequence
from typing import Any, Final

TOKENS: Final = "modelops.tokens"
"""Where a request's numbers of tokens stand in its dynamic metadata, where spans are made."""

SCOPE: Final = "modelops"
TIMES: Final = "modelops_times"
COUNTERS_PATH: Final = "/modelops/counters"
TIMES_PATH: Final = "/modelops/times"
"""Where Envoy's admin port tells them, in Prometheus' format."""

MOST_COUNTERS: Final = 20_000
MOST_HISTOGRAMS: Final = 20_000
"""So many sets of labels are known at a time; what comes beyond is not counted."""

FORGOTTEN_SECONDS: Final = 600
"""What has not changed for so long is forgotten, and starts at zero when it comes back."""

DURATION: Final = "request_milliseconds"
FIRST: Final = "first_token_microseconds"
EACH: Final = "per_token_microseconds"
BUCKETS: Final[dict[str, Sequence[int]]] = {
    DURATION: [10 * 2**n for n in range(14)],
    FIRST: [
        1_000, 5_000, 10_000, 20_000, 40_000, 60_000, 80_000, 100_000, 250_000, 500_000, 750_000,
        1_000_000, 2_500_000, 5_000_000, 7_500_000, 10_000_000,
    ],
    EACH: [
        10_000, 25_000, 50_000, 75_000, 100_000, 150_000, 200_000, 300_000, 400_000, 500_000,
        750_000, 1_000_000, 2_500_000,
    ],
}  # fmt: skip
"""The bounds that OpenTelemetry's conventions for generative AI name, in whole numbers."""


def counted(forgotten_seconds: int) -> dict[str, Any]:
    """Return what the module is told about counting when Envoy starts."""
    return {
        "forgotten_seconds": forgotten_seconds,
        "most_counters": MOST_COUNTERS,
        "most_histograms": MOST_HISTOGRAMS,
        "buckets": BUCKETS,
    }
