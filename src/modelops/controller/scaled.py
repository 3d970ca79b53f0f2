"""A model as the built-in scaler follows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelops.api import conditions as c
from modelops.api.scaling import Scaling
from modelops.api.serving import ServingKind
from modelops.scaling.policy import Policy
from modelops.sync.catalogue import Platform
from modelops.sync.diagnosis import UNSCHEDULABLE
from modelops.sync.observed import Ref
from modelops.sync.plan import Accelerators, accelerators
from modelops.sync.preemption import Contender


@dataclass(frozen=True, slots=True)
class Scaled:
    """How a model wants to be scaled, what a replica takes, and what no node has enough of.

    ``ready`` of its replicas answer.
    """

    ref: Ref
    scaling: Scaling
    policy: Policy
    accelerators: Accelerators | None
    lacking: str = ""
    ready: int = 0

    @classmethod
    def of(
        cls, kind: ServingKind, platform: Platform, resource: Mapping[str, Any]
    ) -> "Scaled | None":
        """Return what is kept of a model; None of one that cannot be served as it stands."""
        try:
            spec = kind.parse(resource)
            policy = Policy.of(spec.scaling)
        except ValueError:
            return None
        taken = accelerators(spec, platform)
        ready = int((resource.get("status") or {}).get("readyReplicas") or 0)
        return cls(Ref.of(resource), spec.scaling, policy, taken, _lacking(resource), ready)

    @property
    def asked(self) -> int | None:
        """How many replicas are asked for."""
        return self.scaling.replicas

    @property
    def free(self) -> bool:
        """Whether scalers may ask for replicas."""
        return self.scaling.automatic and self.scaling.state == "Active"

    def contender(self, now: float, *, silent: bool) -> Contender:
        """Return what it is where accelerators are few; `now` is in unix seconds."""
        taken = self.accelerators
        name = taken.resource_name if taken else None
        preempts = self.scaling.preemption == "IdleLowerPriority"
        return Contender(
            ref=self.ref,
            priority=self.scaling.priority,
            resource_name=name,
            count=taken.count if taken else 0,
            replicas=self.asked or 0,
            ready=self.ready,
            waits=preempts and name is not None and f"Insufficient {name}" in self.lacking,
            idle=silent and self.free and self.policy.floor(now) == 0,
        )


def _lacking(resource: Mapping[str, Any]) -> str:
    """Return what the scheduler says that nodes lack, where that keeps a replica from starting."""
    ready = c.find(resource, c.READY) or {}
    return str(ready["message"]) if ready.get("reason") == UNSCHEDULABLE else ""
