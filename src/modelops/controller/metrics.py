"""What the operator tells Prometheus."""

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from modelops.controller.builds import Builds

BUILD_SECONDS = (30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800)


@dataclass(frozen=True, slots=True)
class Metrics:
    """The operator's metrics, in a registry of their own."""

    registry: CollectorRegistry
    queue_depth: Gauge
    pass_seconds: Histogram
    passes: Counter
    api_calls: Counter
    leader: Gauge
    last_pass: Gauge
    scale_changes: Counter
    undecided: Gauge
    builds: Builds
    build_seconds: Histogram
    build_gpu_seconds: Counter

    @classmethod
    def create(cls) -> "Metrics":
        """Return fresh metrics, all at zero."""
        registry = CollectorRegistry()
        builds = Builds()
        registry.register(builds)
        return cls(
            registry=registry,
            queue_depth=Gauge(
                "modelops_queue_depth", "Objects that wait for a worker.", registry=registry
            ),
            pass_seconds=Histogram(
                "modelops_pass_seconds", "Duration of one pass.", ["kind"], registry=registry
            ),
            passes=Counter(
                "modelops_passes",
                "Passes by outcome: ready, waiting, stalled, refused, gone, failed.",
                ["kind", "outcome"],
                registry=registry,
            ),
            api_calls=Counter(
                "modelops_api_calls",
                "Requests to the API server; code 0: no answer.",
                ["verb", "resource", "code"],
                registry=registry,
            ),
            leader=Gauge("modelops_leader", "1 while this replica leads.", registry=registry),
            last_pass=Gauge(
                "modelops_last_pass_timestamp_seconds", "End of the last pass.", registry=registry
            ),
            scale_changes=Counter(
                "modelops_scale_changes",
                "Changes of the number of replicas, by what caused them: Woken, ScaledUp, "
                "ScaledDown, ScaledToZero.",
                ["kind", "direction", "metric"],
                registry=registry,
            ),
            undecided=Gauge(
                "modelops_scaling_undecided_models",
                "Models that scale and of which the gateway does not say how many replicas they "
                "need.",
                registry=registry,
            ),
            builds=builds,
            build_seconds=Histogram(
                "modelops_build_seconds",
                "Duration of builds that made an artifact; those that share a Job count once.",
                ["method"],
                registry=registry,
                buckets=BUILD_SECONDS,
            ),
            build_gpu_seconds=Counter(
                "modelops_build_gpu_seconds",
                "Seconds that these builds held GPUs, times the GPUs.",
                ["method"],
                registry=registry,
            ),
        )

    def count_call(self, verb: str, resource: str, code: int) -> None:
        """Count one request to the API server."""
        self.api_calls.labels(verb, resource, code).inc()

    def watch_depth(self, depth: Callable[[], int]) -> None:
        """Read the queue's depth whenever the metrics are read."""
        self.queue_depth.set_function(depth)
