"""OpenTelemetry's metrics of generative AI, made of what Envoy has measured.

Envoy measures in whole milli- or microseconds and puts its own name before each metric; the
conventions want seconds and names of their own.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.metrics_core import HistogramMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from modelops.gateway.counters import Series
from modelops.gateway.usage import DURATION, EACH, FIRST, TIMES, TIMES_PATH

OPERATIONS: Final = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "text_completion",
    "/v1/responses": "chat",
    "/v1/embeddings": "embeddings",
}
"""The conventions' names of what paths do; another path's last part is its name."""

_NAMES: Final = {
    DURATION: ("gen_ai_server_request_duration_seconds", "Time to the end of an answer.", 1e3),
    FIRST: ("gen_ai_server_time_to_first_token_seconds", "Time to a stream's first token.", 1e6),
    EACH: ("gen_ai_server_time_per_output_token_seconds", "Time per token after the first.", 1e6),
}
_TOKENS: Final = {"input_tokens": "input", "output_tokens": "output"}
_TYPE: Final = "gen_ai_token_type"
_Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True, eq=False)
class GenAi(Collector):
    """Collects those metrics; `ask` returns what Envoy answers to GET on a path of its admin port.

    Without Envoy there are no times. The numbers of tokens have a sum and a count and no bounds:
    a bound costs each request what its whole counting does.
    """

    ask: Callable[[str], str | None]
    _tokens: Counter[_Labels] = field(default_factory=Counter, init=False)
    _requests: Counter[_Labels] = field(default_factory=Counter, init=False)

    def add(self, added: Mapping[Series, int]) -> None:
        """Take note of what Envoy has counted since the last time."""
        for series, count in added.items():
            labels = _labels({"model": series.model, "path": series.path})
            if series.name == "requests":
                self._requests[labels] += count
            elif series.name in _TOKENS:
                self._tokens[(*labels, (_TYPE, _TOKENS[series.name]))] += count

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        yield self._usage()
        yield from times(self.ask(TIMES_PATH) or "")

    def _usage(self) -> Metric:
        made = HistogramMetricFamily("gen_ai_client_token_usage", "Tokens of a request.")
        for labels, requests in self._requests.copy().items():
            for kind in _TOKENS.values():
                told = (*labels, (_TYPE, kind))
                made.add_sample(f"{made.name}_bucket", {**dict(told), "le": "+Inf"}, requests)
                made.add_sample(f"{made.name}_count", dict(told), requests)
                made.add_sample(f"{made.name}_sum", dict(told), self._tokens[told])
        return made


def times(text: str) -> Iterator[Metric]:
    """Return the metrics of time in a text of Envoy's, in Prometheus' format."""
    for family in text_string_to_metric_families(text):
        kind = family.name.removeprefix(f"envoy_{TIMES}_")
        if kind in _NAMES:
            yield _converted(family.samples, *_NAMES[kind])


def _converted(samples: Iterable[Sample], name: str, text: str, parts: float) -> Metric:
    """Return a histogram in seconds; two paths that do the same are one operation."""
    made = HistogramMetricFamily(name, text)
    values: dict[tuple[str, _Labels], float] = defaultdict(float)
    for sample in samples:
        kind = sample.name.rpartition("_")[2]
        value = sample.value / parts if kind == "sum" else sample.value
        values[kind, _labels(sample.labels, parts)] += value
    for (kind, labels), value in values.items():
        made.add_sample(f"{name}_{kind}", dict(labels), value)
    return made


def _labels(told: Mapping[str, str], parts: float = 1) -> _Labels:
    path = told["path"]
    labels = {
        "gen_ai_operation_name": OPERATIONS.get(path, path.rpartition("/")[2]),
        "gen_ai_provider_name": "modelops",
        "gen_ai_request_model": told["model"],
    }
    if "error" in told:
        labels["error_type"] = told["error"]
    if "le" in told:
        labels["le"] = str(float(told["le"]) / parts).replace("inf", "+Inf")
    return tuple(labels.items())
