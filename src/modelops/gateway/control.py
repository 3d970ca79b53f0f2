"""Keeps Envoy's files what the cluster's objects say."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from orjson import Fragment

from modelops.api.base import API_VERSION
from modelops.api.kinds import KINDS
from modelops.api.policies.modelroute import KIND as MODEL_ROUTE
from modelops.api.policies.tenant import KIND as TENANT
from modelops.cluster import Cluster
from modelops.gateway import observed
from modelops.gateway.files import publish, published
from modelops.gateway.memo import Memo
from modelops.gateway.metrics import Metrics
from modelops.gateway.observed import Found, Slice, Standing, Wish
from modelops.gateway.oidc import Keys
from modelops.gateway.render import clusters, render
from modelops.gateway.retired import Retired
from modelops.gateway.snapshot import Contended, Front, Model, Snapshot, Tenant
from modelops.reflector import Kept, Reflector

GATHER_SECONDS: Final = 0.05
"""Changes come in bursts: so long one waits for others."""

TAKEN_PER_SECOND: Final = 8_000_000
"""So many characters Envoy reads in a second: it reads each version of a file that it is given,
and falls behind when they come faster."""

RETRY_SECONDS: Final = 1.0
MANAGED: Final = {"app.kubernetes.io/managed-by": "modelops"}

log = logging.getLogger(__name__)


@dataclass(slots=True)
class View:
    """The copies of everything that a snapshot is made of."""

    models: Sequence[Reflector[Model]]
    wishes: Sequence[Reflector[Wish]]
    slices: Sequence[Reflector[Slice]]
    tenants: Reflector[Tenant]
    keys: Reflector[Mapping[str, Any] | None]
    standings: Reflector[Standing]

    @classmethod
    def of(
        cls, cluster: Cluster, system: str, namespaces: Sequence[str], follow: Callable[[], None]
    ) -> "View":
        """Return copies that are still empty; `follow` is called whenever one changes."""
        places = tuple(namespaces) or (None,)
        return cls(
            models=[
                Reflector(cluster, API_VERSION, kind, place, {}, observed.model, follow)
                for kind in KINDS
                for place in places
            ],
            wishes=[
                Reflector(
                    cluster, API_VERSION, MODEL_ROUTE.name, place, {}, observed.wish, follow
                )
                for place in places
            ],
            slices=[
                Reflector(
                    cluster, "discovery.k8s.io/v1", "EndpointSlice", place, MANAGED,
                    observed.endpoint_slice, follow,
                )
                for place in places
            ],
            tenants=Reflector(
                cluster, API_VERSION, TENANT.name, system, {}, observed.tenant, follow
            ),
            keys=Reflector(
                cluster, "v1", "ConfigMap", system, observed.SIGNING_KEY,
                observed.public_key, follow,
            ),
            standings=Reflector(
                cluster, "v1", "ConfigMap", system, observed.API_KEY, observed.standing, follow
            ),
        )  # fmt: skip

    @property
    def reflectors(self) -> Sequence[Reflector[Any]]:
        """All of them."""
        return (*self.models, *self.wishes, *self.slices, self.tenants, self.keys, self.standings)

    @property
    def complete(self) -> bool:
        """Whether each has been whole once."""
        return all(reflector.complete for reflector in self.reflectors)

    def snapshot(self, now: datetime) -> Snapshot:
        """Return what they say now."""
        found = Found(
            models=_all(self.models),
            wishes=_all(self.wishes),
            slices=_all(self.slices),
            tenants=_all([self.tenants]),
            signing=_all([self.keys]),
            standings=_all([self.standings]),
        )
        return observed.snapshot(found, now)

    def now(self, clusters: Collection[str]) -> Mapping[str, Model]:
        """Return how some models are now, by cluster; those that are not known are left out."""
        wanted = (model for model in _all(self.models) if model.cluster in clusters)
        return {m.cluster: m for m in observed.with_replicas(wanted, _all(self.slices))}


def _all(reflectors: Iterable[Reflector[Kept]]) -> tuple[Kept, ...]:
    return tuple(one for reflector in reflectors for one in reflector.objects.values())


@dataclass(slots=True)
class Control:
    """Publishes a configuration whenever the view has changed, never before it is complete."""

    view: View
    front: Front
    metrics: Metrics
    news: asyncio.Event
    listeners: Sequence[Callable[[Snapshot], None]] = ()
    """Who else wants to know each snapshot."""
    contended: Callable[[], Contended] = Contended
    issuer_keys: Callable[[], Mapping[str, Keys]] = dict
    _files: dict[str, str] | None = field(default=None, init=False)
    _retired: Retired[Fragment] = field(default_factory=Retired, init=False)
    _memo: Memo = field(default_factory=Memo, init=False)

    async def run(self) -> None:
        """Follow the cluster and publish until cancelled."""
        async with asyncio.TaskGroup() as group:
            for reflector in self.view.reflectors:
                group.create_task(reflector.run(), name=reflector.kind)
            group.create_task(self._publish_changes(), name="publish")

    async def _publish_changes(self) -> None:
        while True:
            await self.news.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self.news.clear()
            if self.view.complete:
                await asyncio.sleep(self._publish())

    def _publish(self) -> float:
        """Write what has changed; return for how many seconds nothing more is to be written."""
        started = time.monotonic()
        seen = self.view.snapshot(datetime.now(UTC))
        told = dict(self.issuer_keys())
        snapshot = replace(seen, contended=self.contended(), issuer_keys=told)
        for listener in self.listeners:
            listener(snapshot)
        folder = Path(self.front.folder)
        try:
            before = published(folder) if self._files is None else self._files
            self._memo.turn()
            needed = clusters(snapshot, self.front, self._memo)
            retired = self._retired.beside(needed, started)
            files = render(snapshot, self.front, retired, self._memo)
            written = publish(folder, files, before)
        except OSError as error:
            log.error("Envoy's files cannot be written to %s, trying again: %s", folder, error)  # noqa: TRY400  the cause is the file system's
            self._files = None  # some may have been written
            self.news.set()
            return RETRY_SECONDS
        self._files = files
        self._tell(snapshot, len(written), time.monotonic() - started)
        return sum(len(files[name]) for name in written) / TAKEN_PER_SECOND

    def _tell(self, snapshot: Snapshot, written: int, seconds: float) -> None:
        self.metrics.models.set(len(snapshot.models))
        self.metrics.endpoints.set(sum(len(m.endpoints) for m in snapshot.models))
        self.metrics.revoked.set(len(snapshot.revoked))
        self.metrics.publish_seconds.observe(seconds)
        if written:
            self.metrics.publications.inc()
            self.metrics.last_publication.set_to_current_time()
            log.info("serving %d models; %d files written", len(snapshot.models), written)
