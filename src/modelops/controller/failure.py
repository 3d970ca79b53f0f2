"""What an object shows when the API server refuses a write (pure)."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from modelops.api import conditions as c
from modelops.cluster import Refused
from modelops.sync.desired import Ask, Delete, Desired, Write
from modelops.sync.observed import Ref, Subject

APPLY_FAILED: Final = "ApplyFailed"


@dataclass(frozen=True, slots=True)
class Failure:
    """A write that the API server refused, and its own words."""

    write: Write
    error: Refused

    @property
    def sentence(self) -> str:
        """What was refused, why, and what to do."""
        write = self.write
        ref = write.ref if isinstance(write, Delete | Ask) else Ref.of(write.manifest)
        return (
            f"the cluster refuses {ref.kind} {ref.name} ({self.error}): change what it names in "
            "the spec, the quota or the policy; it is tried again by itself"
        )


def _unscaled(desired: Desired, observed: Subject) -> dict[str, Any]:
    """Return the status with the change of replicas before: the new one may not have come about."""
    before = (observed.resource.get("status") or {}).get("lastScale")
    kept = {name: told for name, told in desired.status.items() if name != "lastScale"}
    return {**kept, **({"lastScale": before} if before else {})}


def refused(desired: Desired, failure: Failure, observed: Subject, now: datetime) -> Desired:
    """Return the same conclusion, with the refusal in the conditions that sum up."""
    summary = (
        c.Condition(c.READY, "False", APPLY_FAILED, failure.sentence),
        c.Condition(c.RECONCILING, "False", APPLY_FAILED, failure.sentence),
        c.Condition(c.STALLED, "True", APPLY_FAILED, failure.sentence),
    )
    before = (observed.resource.get("status") or {}).get("conditions", [])
    stamped = {one["type"]: one for one in c.stamp(summary, observed.generation, before, now)}
    listed = [stamped.get(one["type"], one) for one in desired.status["conditions"]]
    status = {**_unscaled(desired, observed), "conditions": listed}
    return replace(desired, status=status, reason=APPLY_FAILED, sentence=failure.sentence)
