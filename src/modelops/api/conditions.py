"""Conditions as the Kubernetes API conventions define them, and how they change."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

READY: Final = "Ready"
ACCEPTED: Final = "Accepted"
WEIGHTS_READY: Final = "WeightsReady"
AVAILABLE: Final = "Available"
RECONCILING: Final = "Reconciling"
STALLED: Final = "Stalled"
ATTACHED: Final = "Attached"
SCALING_ACTIVE: Final = "ScalingActive"
BUILT: Final = "Built"
GATE_PASSED: Final = "GatePassed"

Truth = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of an object's status: its type, truth, stable reason and sentence."""

    type: str
    status: Truth
    reason: str
    message: str

    def stamped(
        self, generation: int, before: Mapping[str, Any] | None, now: str
    ) -> dict[str, Any]:
        """Return the condition as JSON; its transition time moves only when its truth does."""
        same = before is not None and before.get("status") == self.status
        kept = before.get("lastTransitionTime") if before and same else None
        return {
            "type": self.type,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "observedGeneration": generation,
            "lastTransitionTime": kept or now,
        }


def one_line(text: str) -> str:
    """Return a text as one line, as a condition's message and a log line want it."""
    return " ".join(text.split())


def truth(value: bool) -> Truth:  # noqa: FBT001  a condition's truth is its only argument
    """Return ``True`` or ``False`` as conditions spell them."""
    return "True" if value else "False"


def stamp(
    conditions: Iterable[Condition],
    generation: int,
    before: Iterable[Mapping[str, Any]],
    now: datetime,
) -> list[dict[str, Any]]:
    """Return the conditions as JSON, merged with those the object had before."""
    known = {condition["type"]: condition for condition in before}
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return [c.stamped(generation, known.get(c.type), time) for c in conditions]


def find(resource: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    """Return the condition of that type in a resource's status, if it has one."""
    listed = resource.get("status", {}).get("conditions", [])
    return next((c for c in listed if c["type"] == kind), None)
