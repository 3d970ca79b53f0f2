"""What the control process tells Prometheus; Envoy tells of the requests itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from modelops.gateway.counters import Series

_OUTCOMES: Final = {
    "requests": "counted",
    "estimated_requests": "estimated",
    "uncounted_requests": "uncounted",
    "failed_requests": "failed",
}
_TOKENS: Final = {"input_tokens": "input", "output_tokens": "output"}
_ESTIMATED: Final = {"estimated_input_tokens": "input", "estimated_output_tokens": "output"}
_BYTES: Final = {"uncounted_bytes_received": "received", "uncounted_bytes_sent": "sent"}


@dataclass(frozen=True, slots=True)
class Metrics:
    """The control process's metrics, in a registry of their own."""

    registry: CollectorRegistry
    models: Gauge
    endpoints: Gauge
    revoked: Gauge
    publications: Counter
    publish_seconds: Histogram
    last_publication: Gauge
    api_calls: Counter
    requests: Counter
    tokens: Counter
    estimated_tokens: Counter
    uncounted_bytes: Counter
    redis_up: Gauge
    questions: Counter
    issuer_keys: Gauge
    issuer_read: Gauge
    held: Gauge
    held_seconds: Histogram
    wakes: Counter

    @classmethod
    def create(cls) -> "Metrics":
        """Return fresh metrics, all at zero."""
        registry = CollectorRegistry()
        held, held_seconds, wakes = _of_waking(registry)
        return cls(
            registry,
            Gauge("modelops_gateway_models", "Models that have a route.", registry=registry),
            Gauge("modelops_gateway_endpoints", "Replicas that are ready.", registry=registry),
            Gauge("modelops_gateway_revoked_keys", "API keys refused.", registry=registry),
            Counter("modelops_gateway_publications", "Configurations written.", registry=registry),
            Histogram(
                "modelops_gateway_publish_seconds",
                "Time from a snapshot to Envoy's files.",
                registry=registry,
            ),
            Gauge(
                "modelops_gateway_last_publication_timestamp_seconds",
                "When a configuration was last written.",
                registry=registry,
            ),
            Counter(
                "modelops_gateway_api_calls",
                "Requests to the API server; code 0: no answer.",
                ["verb", "resource", "code"],
                registry=registry,
            ),
            *_of_tenants(registry),
            *_of_limits(registry),
            *_of_issuers(registry),
            held=held,
            held_seconds=held_seconds,
            wakes=wakes,
        )

    def count_call(self, verb: str, resource: str, code: int) -> None:
        """Count one request to the API server."""
        self.api_calls.labels(verb, resource, code).inc()

    def tell_held(self, held: Mapping[str, int]) -> None:
        """Tell how many requests are held for models at zero."""
        self.held.set(sum(held.values()))

    def observe_held(self, outcome: str, seconds: float) -> None:
        """Count a request that was at the activator."""
        self.held_seconds.labels(outcome).observe(seconds)

    def count_wake(self, outcome: str) -> None:
        """Count one ask for a first replica."""
        self.wakes.labels(outcome).inc()

    def count_usage(self, added: Mapping[Series, int]) -> None:
        """Count what tenants have used since the last time."""
        for series, count in added.items():
            for counter, kinds in (
                (self.requests, _OUTCOMES),
                (self.tokens, _TOKENS),
                (self.estimated_tokens, _ESTIMATED),
                (self.uncounted_bytes, _BYTES),
            ):
                if series.name in kinds:
                    counter.labels(series.tenant, series.model, kinds[series.name]).inc(count)


def _of_tenants(registry: CollectorRegistry) -> tuple[Counter, Counter, Counter, Counter]:
    """Return the counters of requests, of tokens, told and not, and of bytes without them."""

    def counter(name: str, text: str, kind: str) -> Counter:
        labels = ["tenant", "model", kind]
        return Counter(f"modelops_gateway_{name}", text, labels, registry=registry)

    return (
        counter("requests", "Requests of tenants, by what became of them.", "outcome"),
        counter("tokens", "Tokens that answers told.", "direction"),
        counter("estimated_tokens", "Tokens of streams that told none.", "direction"),
        counter("uncounted_bytes", "Bytes of answers that told no tokens.", "direction"),
    )


def _of_limits(registry: CollectorRegistry) -> tuple[Gauge, Counter]:
    """Return whether Redis answers, and what was decided about contended requests."""
    return (
        Gauge(
            "modelops_gateway_redis_up",
            "1 while Redis counts for all replicas together.",
            registry=registry,
        ),
        Counter(
            "modelops_gateway_limit_questions",
            "Contended requests: passed, requests, tokens, parallel, away.",
            ["decision"],
            registry=registry,
        ),
    )


def _of_issuers(registry: CollectorRegistry) -> tuple[Gauge, Gauge]:
    """Return how many keys each issuer told, and when it last did."""
    return (
        Gauge("modelops_gateway_issuer_keys", "Its public keys.", ["issuer"], registry=registry),
        Gauge(
            "modelops_gateway_issuer_read_timestamp_seconds",
            "When its public keys were last read.",
            ["issuer"],
            registry=registry,
        ),
    )


def _of_waking(registry: CollectorRegistry) -> tuple[Gauge, Histogram, Counter]:
    """Return what waits for models at zero, for how long, and how often models are woken."""
    return (
        Gauge(
            "modelops_gateway_held_requests",
            "Requests that wait for a model at zero.",
            registry=registry,
        ),
        Histogram(
            "modelops_gateway_held_seconds",
            "How long requests were held, by what became of them.",
            ["outcome"],
            buckets=(0.1, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640),
            registry=registry,
        ),
        Counter(
            "modelops_gateway_wakes",
            "Asks for a model's first replica: accepted, needless, failed.",
            ["outcome"],
            registry=registry,
        ),
    )
