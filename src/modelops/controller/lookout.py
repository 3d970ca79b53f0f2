"""Notices when the cluster gets to know the optional kinds that models have missed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from modelops.api.base import GROUP
from modelops.cluster import Cluster, ClusterError
from modelops.sync.observed import ChildType

EVERY_SECONDS = 20.0
NOBODY = {f"{GROUP}/model": "0"}
"""The labels of no object: models' names begin with a letter."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lookout:
    """Has every object looked at when a kind that was missed has come."""

    cluster: Cluster
    namespaces: tuple[str, ...]
    came: Callable[[], Awaitable[object]]
    _missed: set[ChildType] = field(default_factory=set, init=False)
    _news: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def miss(self, kinds: Iterable[ChildType]) -> None:
        """Look for these kinds from now on: there are objects that would have them."""
        self._missed.update(kinds)
        if self._missed:
            self._news.set()

    async def run(self) -> None:
        """Look until cancelled, and only for what was missed."""
        while True:
            await self._news.wait()
            await asyncio.sleep(EVERY_SECONDS)
            came = [kind for kind in tuple(self._missed) if await self._known(kind)]
            self._missed.difference_update(came)
            if not self._missed:
                self._news.clear()
            if came:
                log.info("the cluster knows %s now", " and ".join(kind.kind for kind in came))
                await self.came()

    async def _known(self, kind: ChildType) -> bool:
        place = self.namespaces[0] if self.namespaces else None
        try:
            await self.cluster.list(kind.api_version, kind.kind, place, NOBODY)
        except ClusterError:
            return False
        return True
