"""The control process's metrics for an OpenTelemetry collector: OTLP in JSON, over HTTP."""

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from httpx2 import AsyncClient, HTTPError
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

SECONDS: Final = 60.0
"""Time between two exports."""

TIMEOUT_SECONDS: Final = 10.0
SERVICE: Final = "modelops-gateway"
CUMULATIVE: Final = 2
NAMES: Final = {
    "gen_ai_client_token_usage": ("gen_ai.client.token.usage", "{token}"),
    "gen_ai_server_request_duration_seconds": ("gen_ai.server.request.duration", "s"),
    "gen_ai_server_time_to_first_token_seconds": ("gen_ai.server.time_to_first_token", "s"),
    "gen_ai_server_time_per_output_token_seconds": ("gen_ai.server.time_per_output_token", "s"),
}
"""What Prometheus' names are in OpenTelemetry, with their units; others stay as they are."""

LABELS: Final = {
    "gen_ai_operation_name": "gen_ai.operation.name",
    "gen_ai_provider_name": "gen_ai.provider.name",
    "gen_ai_request_model": "gen_ai.request.model",
    "gen_ai_token_type": "gen_ai.token.type",
    "error_type": "error.type",
}
Json = dict[str, Any]
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Exporter:
    """Sends a registry's metrics to a collector once a minute, for as long as it runs.

    ``url`` is the collector's, without a path. An export that fails is not tried again: the next
    one holds all that it held.
    """

    url: str
    registry: CollectorRegistry
    seconds: float = SECONDS
    _started: int = field(default_factory=time.time_ns, init=False)

    async def run(self) -> None:
        """Export until cancelled."""
        async with AsyncClient(trust_env=False, timeout=TIMEOUT_SECONDS) as client:
            while True:
                await asyncio.sleep(self.seconds)
                await self._export(client)

    async def _export(self, client: AsyncClient) -> None:
        families = await asyncio.to_thread(lambda: [*self.registry.collect()])
        body = request(families, self._started, time.time_ns())
        try:
            (await client.post(f"{self.url}/v1/metrics", json=body)).raise_for_status()
        except HTTPError as error:
            log.warning("the collector %s takes no metrics: %r", self.url, error)


def request(families: Iterable[Metric], started: int, now: int) -> Json:
    """Return the body of an export: what was counted between two times, in nanoseconds."""
    metrics = [_metric(f, {"startTimeUnixNano": str(started), "timeUnixNano": str(now)})
               for f in families]  # fmt: skip
    resource = {"attributes": _attributes({"service.name": SERVICE})}
    scope = {"scope": {"name": "modelops"}, "metrics": metrics}
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [scope]}]}


def _metric(family: Metric, times: Json) -> Json:
    name, unit = NAMES.get(family.name, (family.name, ""))
    told = {"name": name, "unit": unit, "description": family.documentation}
    if family.type == "histogram":
        points = [_distribution(s, times) for s in _by_labels(family.samples)]
        return told | {"histogram": {"aggregationTemporality": CUMULATIVE, "dataPoints": points}}
    points = [_number(s, times) for s in family.samples if _is_told(s)]
    if family.type == "counter":
        summed = {"aggregationTemporality": CUMULATIVE, "isMonotonic": True}
        return told | {"sum": {**summed, "dataPoints": points}}
    return told | {"gauge": {"dataPoints": points}}


def _is_told(sample: Sample) -> bool:
    """Tell whether a sample goes out: NaN stands for no number, and JSON has none."""
    return not (sample.name.endswith("_created") or math.isnan(sample.value))


def _number(sample: Sample, times: Json) -> Json:
    return {**times, "attributes": _attributes(sample.labels), "asDouble": sample.value}


def _by_labels(samples: Iterable[Sample]) -> Iterable[list[Sample]]:
    """Return the samples of each histogram that is told apart by its labels."""
    found: dict[frozenset[tuple[str, str]], list[Sample]] = defaultdict(list)
    for sample in samples:
        labels = {k: v for k, v in sample.labels.items() if k != "le"}
        found[frozenset(labels.items())].append(sample)
    return found.values()


def _distribution(samples: list[Sample], times: Json) -> Json:
    """Return one histogram; Prometheus' buckets hold the smaller ones too, OpenTelemetry's not."""
    value = {s.name.rpartition("_")[2]: s.value for s in samples}
    upto = sorted((float(s.labels["le"]), s.value) for s in samples if "le" in s.labels)
    counts = [b - a for a, b in pairwise([0.0, *(count for _, count in upto)])]
    labels = {k: v for k, v in samples[0].labels.items() if k != "le"}
    return {
        **times,
        "attributes": _attributes(labels),
        "count": str(int(value["count"])),
        "sum": value["sum"],
        "bucketCounts": [str(int(count)) for count in counts],
        "explicitBounds": [bound for bound, _ in upto[:-1]],
    }


def _attributes(labels: dict[str, str]) -> list[Json]:
    return [{"key": LABELS.get(k, k), "value": {"stringValue": v}} for k, v in labels.items()]
