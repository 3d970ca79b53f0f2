"""What the control process tells Prometheus; Envoy tells of the requests itself."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


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

    @classmethod
    def create(cls) -> "Metrics":
        """Return fresh metrics, all at zero."""
        registry = CollectorRegistry()
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
        )

    def count_call(self, verb: str, resource: str, code: int) -> None:
        """Count one request to the API server."""
        self.api_calls.labels(verb, resource, code).inc()
