"""The decisions as metrics: how many replicas each model is to have, and by which figure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from modelops.gateway.demand.book import Book

PREFIX: Final = "modelops_gateway_scaling"
LABELS: Final = ("model_namespace", "model")
"""Prometheus has a label `namespace` of its own: where the gateway is."""


@dataclass(frozen=True, eq=False)
class Figures(Collector):
    """Reads the book whenever Prometheus asks."""

    book: Book

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the metrics."""
        replicas = GaugeMetricFamily(
            f"{PREFIX}_replicas", "Replicas that a model is to have.", labels=LABELS
        )
        because = (*LABELS, "metric")
        value = GaugeMetricFamily(
            f"{PREFIX}_value", "What was read of the metric that decided.", labels=because
        )
        target = GaugeMetricFamily(
            f"{PREFIX}_target", "What a replica may have of it.", labels=because
        )
        blind = GaugeMetricFamily(
            f"{PREFIX}_blind", "1 while the number is held for want of figures.", labels=LABELS
        )
        for name, entry in tuple(self.book.entries.items()):
            made, address = entry.decision, name.split("/", 1)
            replicas.add_metric(address, made.replicas)
            blind.add_metric(address, made.metric == "missing")
            for family, figure in ((value, made.value), (target, made.target)):
                if figure is not None:
                    family.add_metric([*address, made.metric], figure)
        yield from (replicas, value, target, blind)
