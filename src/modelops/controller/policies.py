"""Keeps the status of routes and tenants true: a pass over all of them whenever something changed.

Nothing else is written for them, and nothing of theirs is polled: it follows models, too.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from modelops.api.base import API_VERSION
from modelops.api.kind import Kind
from modelops.api.policies.modelroute import KIND as MODEL_ROUTE
from modelops.api.policies.tenant import KIND as TENANT
from modelops.cluster import Cluster, ClusterError, NotFound
from modelops.reflector import Kept, Reflector
from modelops.sync.desired import INTENT
from modelops.sync.observed import Manifest, Ref
from modelops.sync.policy import policy_status
from modelops.sync.scene import Named, Scene, of_model, of_route

GATHER_SECONDS: Final = 0.5
"""Changes come in bursts: so long one waits for others."""

RETRY_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Policies:
    """Copies of what policies are judged by and among, and the passes over them."""

    cluster: Cluster
    models: Sequence[Reflector[Named]]
    routes: Sequence[Reflector[Manifest]]
    tenants: Sequence[Reflector[Manifest]]
    system: str
    now: Callable[[], datetime]
    news: asyncio.Event
    retry_seconds: float = RETRY_SECONDS

    @classmethod
    def of(
        cls,
        cluster: Cluster,
        kinds: Mapping[str, Kind],
        namespaces: Sequence[str],
        system: str,
        now: Callable[[], datetime],
    ) -> "Policies":
        """Return passes that have not begun; `namespaces` empty is everywhere."""
        news = asyncio.Event()
        places: tuple[str | None, ...] = tuple(namespaces) or (None,)
        homes = places if None in places else tuple(dict.fromkeys((*places, system)))

        def follow(
            kind: str, keep: Callable[[Manifest], Kept], place: str | None
        ) -> Reflector[Kept]:
            return Reflector(cluster, API_VERSION, kind, place, {}, keep, news.set)

        return cls(
            cluster,
            [follow(kind, of_model, place) for kind in kinds for place in places],
            [follow(MODEL_ROUTE.name, dict, place) for place in places],
            [follow(TENANT.name, dict, place) for place in homes],
            system,
            now,
            news,
        )

    async def run(self) -> None:
        """Follow and report until cancelled."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors:
                group.create_task(reflector.run(), name=reflector.kind)
            group.create_task(self._report_changes(), name="report")

    async def _report_changes(self) -> None:
        while True:
            await self.news.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self.news.clear()
            if self._complete and not await self.report():
                await asyncio.sleep(self.retry_seconds)
                self.news.set()

    @property
    def _complete(self) -> bool:
        return all(reflector.complete for reflector in self._reflectors)

    @property
    def _reflectors(self) -> Sequence[Reflector[Any]]:
        return (*self.models, *self.routes, *self.tenants)

    async def report(self) -> bool:
        """Report each status that has changed; return whether that could be done."""
        scene = Scene.of(_all(self.models), map(of_route, _all(self.routes)), self.system)
        done = [await self._report(policy, scene) for policy in self._policies()]
        return all(done)

    def _policies(self) -> Iterator[Manifest]:
        yield from _all(self.routes)
        yield from _all(self.tenants)

    async def _report(self, policy: Manifest, scene: Scene) -> bool:
        ref, meta = Ref.of(policy), policy["metadata"]
        status = policy_status(policy, scene, self.now())
        if status == policy.get("status") or "deletionTimestamp" in meta:
            return True
        log.info("%s %s/%s: %s", ref.kind, ref.namespace, ref.name, _sentence(status))
        try:
            await self.cluster.apply_status(ref, meta["uid"], status, INTENT)
        except NotFound:
            return True  # it is gone meanwhile
        except ClusterError as error:
            log.warning("the status of %s %s cannot be reported: %s", ref.kind, ref.name, error)
            return False
        return True


def _all(reflectors: Iterable[Reflector[Kept]]) -> tuple[Kept, ...]:
    return tuple(one for reflector in reflectors for one in reflector.objects.values())


def _sentence(status: Mapping[str, Any]) -> str:
    return str(status["conditions"][0]["message"])
