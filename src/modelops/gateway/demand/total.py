"""Adds up what all gateway pods and engines say of a model (pure)."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from modelops.gateway.counters import added
from modelops.gateway.demand.engines import Engine
from modelops.gateway.demand.first import slowest
from modelops.gateway.demand.share import Counts, Share
from modelops.gateway.snapshot import Endpoint, Model
from modelops.jobs.queue import Backlog
from modelops.scaling.reading import Reading


@dataclass(slots=True)
class Arrivals:
    """All requests of each model over all pods: a count that never falls.

    What a pod had counted before it was first heard of is left out, for it came at no known time.
    """

    total: dict[str, int] = field(default_factory=dict)
    heard: dict[str, Counts] = field(default_factory=dict)
    """What each pod told last."""

    def keep(self, models: Collection[str]) -> None:
        """Forget other models than these: they are gone."""
        for model in self.total.keys() - models:
            del self.total[model]

    def hear(self, shares: Iterable[Share]) -> None:
        """Count what was added; a pod that goes takes nothing with it."""
        heard = {share.pod: share.arrivals for share in shares}
        for pod, counts in heard.items():
            for model, count in counts.items():
                before = self.heard[pod].get(model, 0) if pod in self.heard else count
                self.total[model] = self.total.get(model, 0) + added(before, count)
        self.heard = heard


@dataclass(frozen=True, slots=True)
class Found:
    """What was found at one time: a share of each pod, None of those that do not answer."""

    shares: Sequence[Share | None]
    engines: Mapping[Endpoint, Engine]
    arrivals: Mapping[str, int]
    backlogs: Mapping[str, Backlog] = field(default_factory=dict)
    """What there is to do, of models that do jobs, by NAMESPACE/NAME; others are not known."""

    def questions(self, model: Model) -> int:
        """Return how often KEDA has asked the pods that answer about a model."""
        return sum(s.questions.get(model.cluster, 0) for s in self.shares if s is not None)

    def reading(self, model: Model, at: float) -> Reading:
        """Return what is known of a model; `at` is in unix seconds."""
        if model.jobs:
            return _of_jobs(model, self.backlogs.get(model.address), at)
        told = [self.engines[e] for e in model.endpoints if e in self.engines]
        shares = [share for share in self.shares if share is not None]
        queued = sum(share.queued.get(model.cluster, 0) for share in shares)
        waiting = _sum(engine.load.waiting for engine in told)
        return Reading(
            at=at,
            replicas=model.asked,
            ready=len(model.endpoints),
            in_flight=_in_flight(shares, model.cluster, queued),
            held=sum(share.held.get(model.cluster, 0) for share in shares),
            waiting=waiting if waiting is None and not queued else (waiting or 0) + queued,
            running=_sum(engine.load.running for engine in told),
            kv_cache_percent=_mean([engine.load.kv_cache_percent for engine in told]),
            ttft_milliseconds=slowest(h for engine in told for h in engine.firsts),
            arrivals=self.arrivals.get(model.cluster, 0),
            whole=len(told) == len(model.endpoints) and _whole(self.shares),
        )


def _of_jobs(model: Model, found: Backlog | None, at: float) -> Reading:
    """Return what the queue says, which every gateway pod reads for itself: it has all jobs."""
    blank = Reading(at, replicas=model.asked, ready=len(model.endpoints), jobs=True, whole=False)
    if found is None:
        return blank
    return replace(
        blank,
        in_flight=found.waiting + found.running,
        held=0,
        waiting=found.waiting,
        running=found.running,
        arrivals=found.submitted,
        work_seconds=found.seconds / (model.capacity or 1),
        busy=len(found.busy),
        whole=True,
    )


def _whole(shares: Sequence[Share | None]) -> bool:
    return all(share is not None and share.in_flight is not None for share in shares)


def _in_flight(shares: Sequence[Share], cluster: str, queued: int) -> int | None:
    """Return the requests that pods have; those that wait for their turn are with no engine yet."""
    known = [share.in_flight for share in shares if share.in_flight is not None]
    return sum(counts.get(cluster, 0) for counts in known) + queued if known else None


def _sum(counts: Iterable[float | None]) -> float | None:
    """Return the sum; None when one of them is not known."""
    total = 0.0
    for count in counts:
        if count is None:
            return None
        total += count
    return total


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
