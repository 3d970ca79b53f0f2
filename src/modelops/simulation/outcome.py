"""What is told of a trace that was played."""

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from modelops.simulation.course import Objective
from modelops.simulation.world import Played


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one who scales did: cost, share of requests in time, times, changes.

    ``cut`` requests were ended by a drain that was too short, ``unanswered`` ones never had a first
    token. ``token_p99_ms`` is the mean time between the tokens of a request.
    """

    name: str
    replica_hours: float
    slo_attainment: float
    ttft_p50_ms: float | None
    ttft_p90_ms: float | None
    ttft_p99_ms: float | None
    token_p50_ms: float | None
    token_p99_ms: float | None
    requests: int
    cut: int
    unanswered: int
    most_replicas: int
    changes: int

    @staticmethod
    def of(name: str, played: Played, objective: Objective) -> "Outcome":
        """Return what is to tell."""
        jobs = played.judged
        firsts = sorted(j.first - j.request.at for j in jobs if j.first is not None)
        tokens = sorted(
            (j.end - j.first) / (j.request.answer - 1)
            for j in jobs
            if not (j.cut or j.first is None or j.end is None) and j.request.answer > 1
        )
        counts = [m.replicas for m in played.moments if played.begin <= m.at <= played.seconds]
        return Outcome(
            name=name,
            replica_hours=round(played.replica_hours, 4),
            slo_attainment=round(played.attainment(objective.ttft_seconds), 5),
            ttft_p50_ms=_quantile(firsts, 0.5),
            ttft_p90_ms=_quantile(firsts, 0.9),
            ttft_p99_ms=_quantile(firsts, 0.99),
            token_p50_ms=_quantile(tokens, 0.5),
            token_p99_ms=_quantile(tokens, 0.99),
            requests=len(jobs),
            cut=sum(job.cut for job in jobs),
            unanswered=sum(job.first is None for job in jobs),
            most_replicas=max(counts, default=0),
            changes=sum(a != b for a, b in pairwise(counts)),
        )

    @property
    def document(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return asdict(self)


def _quantile(values: list[float], share: float) -> float | None:
    """Return a quantile of ordered seconds, in milliseconds."""
    if not values:
        return None
    return round(1000 * values[min(int(share * len(values)), len(values) - 1)], 1)
