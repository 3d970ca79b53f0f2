"""A copy of some of the cluster's objects that follows every change of theirs."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from modelops.cluster import Cluster, ClusterError, Forbidden, NotFound

Kept = TypeVar("Kept")
Address = tuple[str, str]
"""Namespace and name."""

RETRY_SECONDS: Final = 1.0
ABSENT_SECONDS: Final = 10.0
"""How often a kind is looked for that the cluster may lack."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Reflector(Generic[Kept]):
    """Follows one kind; keeps of each object what `keep` makes of it.

    While the API server is away the copy stays as it was. Of a kind that is ``optional`` there are
    no objects where the cluster does not know it, or does not let us see it.
    """

    cluster: Cluster
    api_version: str
    kind: str
    namespace: str | None
    labels: Mapping[str, str]
    keep: Callable[[Mapping[str, Any]], Kept]
    changed: Callable[[], None]
    optional: bool = False
    objects: dict[Address, Kept] = field(default_factory=dict)
    complete: bool = False
    """Whether the copy has ever been whole."""

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
            except ClusterError as error:
                await asyncio.sleep(self._failed(error))

    def _failed(self, error: ClusterError) -> float:
        """Return after how many seconds to try again."""
        if self.optional and isinstance(error, NotFound | Forbidden):
            self._begin({})
            return ABSENT_SECONDS
        log.warning("%s objects cannot be followed, trying again: %s", self.kind, error)
        return RETRY_SECONDS

    def _begin(self, objects: dict[Address, Kept]) -> None:
        self.objects, self.complete = objects, True
        self.changed()

    async def _follow(self) -> None:
        """Copy everything, then every change; raises ClusterError when the copy may be stale."""
        place = (self.api_version, self.kind, self.namespace, self.labels)
        items, version = await self.cluster.survey(*place)
        self._begin({_address(item): self.keep(item) for item in items})
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
