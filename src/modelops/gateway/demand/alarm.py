"""Wakes models at zero that jobs wait for: nobody holds those, they wait in the queue."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from modelops.gateway.activator.waker import Waker
from modelops.gateway.snapshot import Model

Sight = Callable[[Collection[str]], Mapping[str, Model]]
"""Returns how some models are now, by cluster; those that are not known are left out."""


@dataclass(slots=True)
class Alarm:
    """Keeps asking for the first replica of each model, as long as jobs wait for one.

    Every gateway pod does: whoever comes second is told that somebody else has asked.
    """

    waker: Waker
    sight: Sight
    ringing: "dict[str, asyncio.Task[None]]" = field(default_factory=dict)
    """By cluster."""

    def ring(self, wanted: Collection[str]) -> None:
        """Have these models woken, by cluster, and no others any more."""
        for cluster in self.ringing.keys() - set(wanted):
            self.ringing.pop(cluster).cancel()
        for cluster in set(wanted) - self.ringing.keys():
            self.ringing[cluster] = asyncio.create_task(self._wake(cluster))

    async def _wake(self, cluster: str) -> None:
        await self.waker.keep_asking(lambda: self.sight((cluster,)).get(cluster))
