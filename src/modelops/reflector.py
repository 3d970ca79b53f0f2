"""A copy of some of the cluster's objects that follows every change of theirs."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from modelops.cluster import Cluster, ClusterError

Kept = TypeVar("Kept")
Address = tuple[str, str]
"""Namespace and name."""

RETRY_SECONDS: Final = 1.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Reflector(Generic[Kept]):
    """Follows one kind; keeps of each object what `keep` makes of it.

    While the API server is away the copy stays as it was.
    """

    cluster: Cluster
    api_version: str
    kind: str
    namespace: str | None
    labels: Mapping[str, str]
    keep: Callable[[Mapping[str, Any]], Kept]
    changed: Callable[[], None]
    objects: dict[Address, Kept] = field(default_factory=dict)
    complete: bool = False
    """Whether the copy has ever been whole."""

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
            except ClusterError as error:
                log.warning("%s objects cannot be followed, trying again: %s", self.kind, error)
            await asyncio.sleep(RETRY_SECONDS)

    async def _follow(self) -> None:
        """Copy everything, then every change; raises ClusterError when the copy may be stale."""
        place = (self.api_version, self.kind, self.namespace, self.labels)
        items, version = await self.cluster.survey(*place)
        self.objects = {_address(item): self.keep(item) for item in items}
        self.complete = True
        self.changed()
        while True:
            async for what, item in self.cluster.watch(*place, version):
                version = item["metadata"]["resourceVersion"]
                self._take(what, item)

    def _take(self, what: str, item: Mapping[str, Any]) -> None:
        if what == "BOOKMARK":
            return
        address = _address(item)
        kept = None if what == "DELETED" else self.keep(item)
        if self.objects.get(address) == kept:
            return
        if kept is None:
            del self.objects[address]
        else:
            self.objects[address] = kept
        self.changed()


def _address(item: Mapping[str, Any]) -> Address:
    return item["metadata"]["namespace"], item["metadata"]["name"]
