"""Notices when the cluster gets to know the optional kinds that models have missed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from modelops.api.base import GROUP
from modelops.cluster import Cluster, ClusterError
from modelops.sync.observed import ChildType

EVERY_SECONDS = 20.0
NOBODY = {f"{GROUP}/model": "0"}
"""The labels of no object: models' names begin with a letter."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lookout:
    """Has every object looked at when kinds that were missed have come.

    ``missed`` is set whenever an object is looked at while the cluster lacks one of them.
    """

    cluster: Cluster
    kinds: tuple[ChildType, ...]
    namespaces: tuple[str, ...]
    missed: asyncio.Event
    came: Callable[[], Awaitable[object]]

    async def run(self) -> None:
        """Look until cancelled, and only for what was missed."""
        while True:
            await self.missed.wait()
            await asyncio.sleep(EVERY_SECONDS)
            if await self._known():
                self.missed.clear()
                log.info("the cluster knows %s now", " and ".join(k.kind for k in self.kinds))
                await self.came()

    async def _known(self) -> bool:
        place = self.namespaces[0] if self.namespaces else None
        try:
            for kind in self.kinds:
                await self.cluster.list(kind.api_version, kind.kind, place, NOBODY)
        except ClusterError:
            return False
        return True
