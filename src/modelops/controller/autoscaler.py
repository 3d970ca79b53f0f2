"""The built-in scaler: asks for the replicas that the gateway decides on where KEDA does not."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from aiohttp import ClientSession
from prometheus_client import Gauge

from modelops.api.base import API_VERSION
from modelops.cluster import Cluster, ClusterError, Invalid, NotFound
from modelops.controller.decisions import Decisions
from modelops.controller.keda import Keda
from modelops.controller.room import Room
from modelops.controller.scaled import Scaled
from modelops.reflector import Reflector
from modelops.sync.catalogue import Catalogue
from modelops.sync.desired import ASKER
from modelops.sync.observed import Ref

EVERY_SECONDS: Final = 2.0
SETTLE_SECONDS: Final = 5.0
"""What somebody else asked for stands so long: the gateway has to know of it before it decides."""


log = logging.getLogger(__name__)


def followed(
    cluster: Cluster, catalogue: Catalogue, namespaces: Sequence[str]
) -> tuple[Reflector[Scaled | None], ...]:
    """Return copies of the models; `namespaces` empty is everywhere."""
    places: tuple[str | None, ...] = tuple(namespaces) or (None,)
    return tuple(
        Reflector(
            cluster,
            API_VERSION,
            name,
            place,
            {},
            partial(Scaled.of, kind, catalogue.platform),
            lambda: None,
        )
        for name, kind in catalogue.kinds.items()
        for place in places
    )


@dataclass(slots=True)
class _Asks:
    """What is asked for as we know it: seen last, by somebody else since when, by ourselves last.

    The time is of the loop's clock. What is there when a model is seen first, somebody else has
    asked for.
    """

    seen: int | None
    foreign_since: float
    own: int | None = None

    def see(self, asked: int | None, now: float) -> None:
        if asked not in {self.seen, self.own}:
            self.foreign_since, self.own = now, None
        self.seen = asked


@dataclass(slots=True)
class Autoscaler:
    """Follows the decisions of the gateway; what is not known changes nothing.

    ``look`` has a model looked at: whether its need is known, and who scales it, is told in its
    status.
    """

    cluster: Cluster
    models: Sequence[Reflector[Scaled | None]]
    decisions: Decisions
    keda: Keda
    room: Room
    look: Callable[[Ref], None]
    undecided: Gauge
    _told: Mapping[Ref, object] = field(default_factory=dict, init=False)
    _asks: dict[Ref, _Asks] = field(default_factory=dict, init=False)

    async def run(self) -> None:
        """Scale until cancelled."""
        async with asyncio.TaskGroup() as group, ClientSession() as session:
            for reflector in self.models:
                group.create_task(reflector.run(), name=reflector.kind)
            group.create_task(self.keda.run())
            while True:
                await self.decisions.read(session, asyncio.get_running_loop().time())
                await self.turn()
                await asyncio.sleep(EVERY_SECONDS)

    async def turn(self) -> None:
        """Go once over all models that scale."""
        everyone = tuple(self._models())
        models = tuple(model for model in everyone if model.free)
        self._tell([model.ref for model in models])
        now = asyncio.get_running_loop().time()
        self._asks = {m.ref: self._asks.get(m.ref) or _Asks(m.asked, now) for m in models}
        for model in models:
            await self._scale(model, self._asks[model.ref])
        self.decisions.go_on(asyncio.get_running_loop().time())
        await self.room.make(everyone)

    def _models(self) -> Iterator[Scaled]:
        for reflector in self.models:
            yield from (model for model in tuple(reflector.objects.values()) if model)

    def _tell(self, refs: Sequence[Ref]) -> None:
        """Have those looked at of which something else is true than was."""
        self.keda.look(refs)
        known = {ref: self.decisions.of(ref) is not None for ref in refs}
        told = {ref: (known[ref], self.keda.told(ref), self.keda.trouble(ref)) for ref in refs}
        for ref in (ref for ref, now in told.items() if self._told.get(ref) != now):
            self.look(ref)
        self._told = told
        self.undecided.set(sum(not now for now in known.values()))

    async def _scale(self, model: Scaled, asks: _Asks) -> None:
        now = asyncio.get_running_loop().time()
        self.decisions.go_on(now)
        asks.see(model.asked, now)
        decision = self.decisions.of(model.ref)
        if decision is None or decision.replicas == model.asked:
            return
        if now - asks.foreign_since < SETTLE_SECONDS and decision.metric != "held":
            return
        if not self.keda.known or self.keda.scales(model.ref):
            return
        if decision.replicas < (model.asked or 0) and self._blind(model):
            return
        try:
            await self.cluster.scale(model.ref, model.asked, decision.replicas, ASKER)
            asks.own = decision.replicas
        except (Invalid, NotFound):
            return  # somebody else has asked meanwhile, or the model is gone
        except ClusterError as error:
            log.warning("%s/%s cannot be scaled: %s", model.ref.namespace, model.ref.name, error)

    def _blind(self, model: Scaled) -> bool:
        """Tell whether triggers may want replicas of which only a KEDA knows that does not work."""
        return bool(model.scaling.triggers) and self.keda.told(model.ref) is not None
