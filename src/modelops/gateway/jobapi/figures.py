"""What the gateway tells Prometheus of jobs."""

from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from modelops.jobs.queue import Stats


class Figures(Collector):
    """The last that was counted: nothing before the first time, and while Redis is away."""

    def __init__(self) -> None:
        """Know nothing."""
        self._stats: Mapping[str, Stats] = {}
        self._up: bool | None = None

    def tell(self, stats: Mapping[str, Stats]) -> None:
        """Take what there is, by model."""
        self._stats, self._up = stats, True

    def away(self) -> None:
        """Take that nothing can be known now."""
        self._stats, self._up = {}, False

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        if self._up is not None:
            yield GaugeMetricFamily(
                "modelops_jobs_redis_up", "1 while the queue of jobs answers.", float(self._up)
            )
        jobs = GaugeMetricFamily(
            "modelops_jobs", "Jobs that have not ended.", labels=("model", "lane", "state")
        )
        oldest = GaugeMetricFamily(
            "modelops_jobs_oldest_seconds",
            "How long the job has waited that waits longest.",
            labels=("model", "lane"),
        )
        dead = GaugeMetricFamily(
            "modelops_jobs_dead", "Jobs that were given up after several tries.", labels=("model",)
        )
        workers = GaugeMetricFamily(
            "modelops_jobs_workers", "Workers that take jobs now.", labels=("model",)
        )
        for model, stats in self._stats.items():
            dead.add_metric((model,), stats.dead)
            workers.add_metric((model,), stats.workers)
            for name, lane in stats.lanes.items():
                oldest.add_metric((model, name), lane.oldest_seconds)
                for state in ("waiting", "delayed", "running"):
                    jobs.add_metric((model, name, state), getattr(lane, state))
        yield from (jobs, oldest, dead, workers)
