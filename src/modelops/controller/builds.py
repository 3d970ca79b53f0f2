"""How many builds there are by how far they have come, as passes leave them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from modelops.api import conditions as c
from modelops.sync.builds.observed import ObservedBuild
from modelops.sync.observed import Ref

PHASES: Final = ("Waiting", "Building", "Built", "GateFailed", "Failed", "Refused")


@dataclass(frozen=True, slots=True, eq=False)
class Builds(Collector):
    """The ModelBuilds that passes have looked at, and what came of them.

    Each object is looked at whenever it changes and every few minutes, so that a new leader knows
    all of them soon.
    """

    _phases: dict[Ref, str] = field(default_factory=dict)

    def note(self, ref: Ref, status: Mapping[str, Any]) -> None:
        """Keep what a pass concluded of a build."""
        self._phases[ref] = phase(status)

    def forget(self, ref: Ref) -> None:
        """Count a build no more: it is gone."""
        self._phases.pop(ref, None)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the counts; every phase of a namespace with builds, at zero too."""
        family = GaugeMetricFamily(
            "modelops_builds",
            f"ModelBuilds by how far they are: {', '.join(PHASES)}.",
            labels=["build_namespace", "phase"],
        )
        counts = Counter((ref.namespace, now) for ref, now in list(self._phases.items()))
        for namespace in sorted({name for name, _ in counts}):
            for each in PHASES:
                family.add_metric([namespace, each], counts[namespace, each])
        yield family


def phase(status: Mapping[str, Any]) -> str:
    """Return how far a build is, by its status."""
    found = {kind: c.find({"status": status}, kind) or {} for kind in _ASKED}
    ready = found[c.READY]
    if ready.get("status") == "True":
        return "Built"
    if found[c.ACCEPTED].get("status") == "False":
        return "Refused"
    if ready.get("reason") in {"GateFailed", "Building"}:
        return str(ready["reason"])
    return "Failed" if found[c.STALLED].get("status") == "True" else "Waiting"


_ASKED: Final = (c.READY, c.ACCEPTED, c.STALLED)


def cost(observed: ObservedBuild, status: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return the seconds, and those of GPUs, of a Job whose result this pass is the first to tell.

    None where there is nothing new, and for those that share the Job of another.
    """
    built = (c.find({"status": one}, c.BUILT) for one in (_before(observed), status))
    before, after = ((one or {}).get("status") == "True" for one in built)
    same = _before(observed).get("digest") == status.get("digest")
    job = observed.job(str(status.get("job")))
    owners = (job or {}).get("metadata", {}).get("ownerReferences") or [{}]
    if not after or (before and same) or owners[0].get("uid") != observed.uid:
        return None
    return int(status.get("seconds", 0)), int(status.get("gpuSeconds", 0))


def _before(observed: ObservedBuild) -> Mapping[str, Any]:
    return observed.resource.get("status") or {}
