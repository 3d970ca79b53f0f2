"""Which other pods the gateway has."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from modelops.cluster import Cluster
from modelops.gateway.observed import peers
from modelops.gateway.snapshot import Endpoint
from modelops.reflector import Reflector

SERVICE: Final = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Siblings:
    """The pods behind the gateway's headless Service, but for the one at `own` address."""

    slices: Reflector[tuple[Endpoint, ...]]
    changed: asyncio.Event
    own: str

    @classmethod
    def of(cls, cluster: Cluster, namespace: str, service: str, own: str) -> "Siblings":
        """Return those that nobody follows yet; without a Service this pod is alone."""
        changed = asyncio.Event()
        labels = {SERVICE: service}
        place = ("discovery.k8s.io/v1", "EndpointSlice", namespace, labels)
        slices = Reflector(cluster, *place, peers, changed.set, complete=not service)
        return cls(slices, changed, own)

    def endpoints(self) -> Collection[Endpoint] | None:
        """Return where they answer; None while that is not known."""
        if not self.slices.complete:
            return None
        listed = (endpoint for one in self.slices.objects.values() for endpoint in one)
        return {endpoint for endpoint in listed if endpoint.address != self.own}

    async def run(self) -> None:
        """Follow them until cancelled."""
        if self.slices.labels[SERVICE]:
            await self.slices.run()
