"""How many replicas shall serve: what is asked for, within the bounds and what is safe."""

from dataclasses import dataclass
from typing import Literal

from modelops.api.scaling import Scaling
from modelops.sync.observed import Manifest

Limit = Literal["Off", "Paused", "Minimum", "Maximum", "RollingOut"]


@dataclass(frozen=True, slots=True)
class Scale:
    """How many replicas shall serve, how many are asked for, and what stands between the two.

    ``asked`` is None when nobody has asked yet; ``limit`` when the ask is followed.
    """

    replicas: int
    asked: int | None = None
    limit: Limit | None = None


def scale(scaling: Scaling, deployment: Manifest | None, floor: int) -> Scale:
    """Return how many replicas a model shall have; ``floor`` is the fewest by its schedules.

    Whoever stops asking changes nothing: without an ask the number stays that there is.
    """
    asked, live = scaling.replicas, planned(deployment)
    if scaling.maximum == 0:
        return Scale(0, asked, "Off")
    if scaling.state == "Paused" and live is not None:
        return Scale(live, asked, "Paused")
    low = min(max(scaling.minimum, floor), scaling.maximum)
    wish = next((n for n in (asked, live) if n is not None), low)
    replicas = max(low, min(wish, scaling.maximum))
    if replicas == 0 and live and rolling(deployment):
        return Scale(1, asked, "RollingOut")
    return Scale(replicas, asked, _limit(wish, replicas))


def _limit(wish: int, replicas: int) -> Limit | None:
    if wish == replicas:
        return None
    return "Minimum" if wish < replicas else "Maximum"


def planned(deployment: Manifest | None) -> int | None:
    """Return how many replicas a Deployment is to have; None where there is none."""
    return None if deployment is None else int(deployment["spec"].get("replicas", 1))


def rolling(deployment: Manifest | None) -> bool:
    """Tell whether a new version is about to take over from an old one."""
    if deployment is None:
        return False
    status = deployment.get("status") or {}
    told = (c for c in status.get("conditions") or () if c["type"] == "Progressing")
    reason = next((c.get("reason") for c in told), None)
    if reason == "ProgressDeadlineExceeded":
        return False
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 1)
    replaced = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    return not (seen and replaced and reason in {None, "NewReplicaSetAvailable"})
