"""Looks at every object now and then, so that a lost event costs minutes and not correctness."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from modelops.api.base import API_VERSION
from modelops.cluster import Cluster, ClusterError
from modelops.sync.catalogue import Catalogue
from modelops.sync.observed import Ref

RETRY_SECONDS = 5.0
"""The pause after objects could not be listed: no API server, or no CRD yet."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Ticker:
    """Adds every object of the catalogue's kinds; `namespaces` empty is everywhere."""

    cluster: Cluster
    catalogue: Catalogue
    namespaces: tuple[str, ...]
    add: Callable[[Ref], None]
    every_seconds: float
    last: float = field(default=0.0, init=False)
    """The loop time of the last tick."""
    served: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    """Set once all kinds could be listed: there is an API server, and it has the CRDs."""

    async def run(self) -> None:
        """Tick until cancelled, at once and then at every interval."""
        while True:
            self.last = asyncio.get_running_loop().time()
            if await self.tick():
                self.served.set()
                await asyncio.sleep(self.every_seconds)
            else:
                await asyncio.sleep(min(self.every_seconds, RETRY_SECONDS))

    async def tick(self) -> bool:
        """Add every object; return whether all kinds could be listed."""
        listed = [await self._add(kind, namespace) for kind, namespace in self._places()]
        return all(listed)

    def _places(self) -> Iterator[tuple[str, str | None]]:
        for kind in self.catalogue.looked_at:
            for namespace in self.namespaces or (None,):
                yield kind, namespace

    async def _add(self, kind: str, namespace: str | None) -> bool:
        try:
            found = await self.cluster.list(API_VERSION, kind, namespace, {})
        except ClusterError as error:
            log.warning("%s objects cannot be listed, trying again: %s", kind, error)
            return False
        for resource in found:
            self.add(Ref.of(resource))
        return True
