"""Which models KEDA scales, and whether it does: copies of its ScaledObjects, followed."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from modelops.cluster import Cluster
from modelops.controller.decisions import Decisions
from modelops.reflector import Reflector
from modelops.sync.observed import SCALED_OBJECT, Ref

DEAF_SECONDS: Final = 30.0
"""KEDA asks about each model every two seconds; one that has not for so long does not work."""

SICK_SECONDS: Final = 45.0
"""How long an autoscaler of KEDA's may be without its metrics before we help."""


@dataclass(frozen=True, slots=True)
class Told:
    """What KEDA says of a ScaledObject, by its conditions.

    ``sick`` is what keeps its HorizontalPodAutoscaler from scaling, empty where nothing does.
    """

    conditions: tuple[tuple[str, str, str], ...] = ()
    sick: str = ""

    @classmethod
    def of(cls, scaled: Mapping[str, Any]) -> "Told":
        """Return what is kept of a ScaledObject."""
        listed = (scaled.get("status") or {}).get("conditions") or ()
        told = {str(one.get("type")): one for one in listed}
        autoscaler = told.get("HPAActive", {})
        sick = autoscaler.get("message", "") if autoscaler.get("status") == "False" else ""
        gists = ((name, one.get("status", ""), one.get("reason", "")) for name, one in told.items())
        return cls(tuple(sorted(gists)), str(sick))


@dataclass(slots=True)
class Keda:
    """Tells of each model whether KEDA scales it; ``now`` is monotonic, in seconds."""

    copies: Sequence[Reflector[Told]]
    decisions: Decisions
    now: Callable[[], float] = field(default=lambda: asyncio.get_running_loop().time())
    _sick_since: dict[Ref, float] = field(default_factory=dict, init=False)

    @classmethod
    def followed(cls, cluster: Cluster, namespaces: Sequence[str], decisions: Decisions) -> "Keda":
        """Return one that knows nothing yet; `namespaces` empty is everywhere."""
        kind = (SCALED_OBJECT.api_version, SCALED_OBJECT.kind)
        places: tuple[str | None, ...] = tuple(namespaces) or (None,)
        copies = tuple(
            Reflector(cluster, *kind, place, {}, Told.of, lambda: None, optional=True)
            for place in places
        )
        return cls(copies, decisions)

    async def run(self) -> None:
        """Follow ScaledObjects until cancelled."""
        async with asyncio.TaskGroup() as group:
            for copy in self.copies:
                group.create_task(copy.run())

    @property
    def known(self) -> bool:
        """Whether all ScaledObjects are known, or that there are none."""
        return all(copy.complete for copy in self.copies)

    def told(self, ref: Ref) -> Told | None:
        """Return what KEDA says of a model's ScaledObject; None where it has none."""
        address = (ref.namespace, ref.name)
        return next((c.objects[address] for c in self.copies if address in c.objects), None)

    def trouble(self, ref: Ref) -> str:
        """Return why KEDA does not scale a model that it should; empty where it does."""
        if self.told(ref) is None:
            return "KEDA does not have its ScaledObject yet" if self.known else ""
        if not self.decisions.questioned(ref, DEAF_SECONDS):
            return f"KEDA has not asked the gateway about it for {DEAF_SECONDS:.0f} s"
        since = self._sick_since.get(ref)
        if since is not None and self.now() - since >= SICK_SECONDS:
            return "KEDA's HorizontalPodAutoscaler does not get its metrics"
        return ""

    def scales(self, ref: Ref) -> bool:
        """Tell whether a model is KEDA's to scale, which works."""
        return self.told(ref) is not None and not self.trouble(ref)

    def look(self, refs: Sequence[Ref]) -> None:
        """Note since when autoscalers are sick."""
        sick = [ref for ref in refs if (told := self.told(ref)) and told.sick]
        self._sick_since = {ref: self._sick_since.get(ref, self.now()) for ref in sick}
