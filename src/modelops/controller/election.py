"""Leader election by a Lease: one operator of several acts, the others stand by."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from modelops.cluster import Cluster, ClusterError, NotFound
from modelops.sync.observed import Ref

RELEASE_SECONDS = 2.0
"""How long a stop may wait for the lease to be given up; it ends by itself anyway."""

log = logging.getLogger(__name__)


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Election:
    """One candidate. Times are seconds; only durations are compared, never two machines' clocks."""

    cluster: Cluster
    namespace: str
    name: str
    identity: str
    lease_seconds: float = 15
    now: Callable[[], datetime] = _now
    _seen: tuple[str, float] = field(default=("", 0.0), init=False)
    _rival: bool = field(default=False, init=False)

    @property
    def pause(self) -> float:
        """The pause between two looks at the lease."""
        return self.lease_seconds / 5

    async def acquire(self) -> None:
        """Return when this candidate leads."""
        while not await self._attempt():  # noqa: ASYNC110  nothing tells when a lease ends
            await asyncio.sleep(self.pause)
        log.info("%s leads", self.identity)

    async def hold(self) -> None:
        """Renew the lease; return when the leadership is lost."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while loop.time() - renewed < self.lease_seconds * 2 / 3:
            await asyncio.sleep(self.pause)
            asked = loop.time()
            if await self._attempt():
                renewed = asked
            elif self._rival:
                break
        log.error("%s has lost the leadership", self.identity)

    async def release(self) -> None:
        """Give the lease up, so that a successor need not wait for its end."""
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await self._release()
        except (ClusterError, TimeoutError) as error:
            log.warning("the lease could not be given up: %s", error)

    async def _release(self) -> None:
        lease = await self.cluster.get(self._ref)
        if lease["spec"].get("holderIdentity") == self.identity:
            await self.cluster.replace(lease | {"spec": self._spec(lease["spec"], "")})
            log.info("%s has given up the lease", self.identity)

    @property
    def _ref(self) -> Ref:
        return Ref("coordination.k8s.io/v1", "Lease", self.namespace, self.name)

    async def _attempt(self) -> bool:
        """Take or renew the lease if that is possible now."""
        try:
            async with asyncio.timeout(self.pause * 2):
                return await self._take()
        except (ClusterError, TimeoutError) as error:
            log.warning("the lease %s/%s cannot be taken: %s", self.namespace, self.name, error)
            return False

    async def _take(self) -> bool:
        try:
            lease = await self.cluster.get(self._ref)
        except NotFound:
            await self.cluster.create(self._fresh())
            return True
        self._rival = not self._free(lease)
        if self._rival:
            return False
        await self.cluster.replace(lease | {"spec": self._spec(lease["spec"], self.identity)})
        return True

    def _free(self, lease: dict[str, Any]) -> bool:
        """Tell whether the lease may be taken: ours, given up, or not renewed for its time."""
        version, time = lease["metadata"]["resourceVersion"], asyncio.get_running_loop().time()
        if self._seen[0] != version:
            self._seen = (version, time)
        holder = lease["spec"].get("holderIdentity")
        age = time - self._seen[1]
        lasts = float(lease["spec"].get("leaseDurationSeconds") or self.lease_seconds)
        return holder in {"", None, self.identity} or age > lasts

    def _fresh(self) -> dict[str, Any]:
        ref = self._ref
        return {
            "apiVersion": ref.api_version,
            "kind": ref.kind,
            "metadata": {"name": ref.name, "namespace": ref.namespace},
            "spec": self._spec({}, self.identity),
        }

    def _spec(self, before: dict[str, Any], holder: str) -> dict[str, Any]:
        time = self.now().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        moved = before.get("holderIdentity") != holder
        return {
            "holderIdentity": holder,
            "leaseDurationSeconds": max(1, round(self.lease_seconds)),
            "acquireTime": time if moved else before.get("acquireTime", time),
            "renewTime": time,
            "leaseTransitions": int(before.get("leaseTransitions", 0)) + moved,
        }
