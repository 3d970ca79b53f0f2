"""The operator: its parts put together, started as leader and stopped in order."""

import asyncio
import logging
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field

import kopf

from modelops.api.policies import POLICIES
from modelops.cluster import ApiServer, Cluster, plurals
from modelops.controller.autoscaler import Autoscaler, followed
from modelops.controller.decisions import Decisions
from modelops.controller.election import Election
from modelops.controller.keda import Keda
from modelops.controller.lookout import Lookout
from modelops.controller.loop import Loop
from modelops.controller.metrics import Metrics
from modelops.controller.policies import Policies
from modelops.controller.probes import probes
from modelops.controller.queue import Queue
from modelops.controller.room import Room
from modelops.controller.settings import Settings
from modelops.controller.ticker import Ticker
from modelops.controller.watch import preferences, watcher
from modelops.sync.catalogue import Catalogue
from modelops.sync.observed import Ref

NOT_FOUND = 404
STOP_SECONDS = 7.0
"""How long passes in progress may take to finish when the operator stops."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Operator:
    """The parts that act while this replica leads, and how they start and stop."""

    queue: Queue[Ref]
    ticker: Ticker
    policies: Policies
    election: Election
    lookout: Lookout
    autoscaler: Autoscaler | None
    metrics: Metrics
    workers: int
    stuck_seconds: float
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the operator stops: kopf waits for it, and stops by it."""
    failed: bool = field(default=False, init=False)
    """Whether it could not go on: the leadership was lost, or a part has ended."""
    _tasks: list[asyncio.Task[None]] = field(default_factory=list, init=False)

    async def start(self) -> None:
        """Wait for the leadership, start the parts, and return when the kinds are served."""
        try:
            await self._lead()
        except asyncio.CancelledError:
            await self.stop()
            raise

    async def _lead(self) -> None:
        await self.election.acquire()
        self.metrics.leader.set(1)
        parts = (
            self.queue.run(self.workers),
            self.ticker.run(),
            self.policies.run(),
            self.election.hold(),
            self.lookout.run(),
            *([self.autoscaler.run()] if self.autoscaler else []),
        )
        self._tasks = [asyncio.create_task(part) for part in parts]
        for task in self._tasks:
            task.add_done_callback(self._on_end)
        await self.ticker.served.wait()

    async def stop(self) -> None:
        """Finish the passes in progress, then give the lease up."""
        self.ended.set()
        if not self._tasks:
            return
        (working, *others), self._tasks = self._tasks, []
        for task in (working, *others):
            task.remove_done_callback(self._on_end)
        self.queue.close()
        await asyncio.wait([working], timeout=STOP_SECONDS)
        for task in (working, *others):
            task.cancel()
        await asyncio.gather(working, *others, return_exceptions=True)
        self.metrics.leader.set(0)
        await self.election.release()

    def trouble(self) -> str | None:
        """Return why the operator should be restarted; None when it is well."""
        if not self._tasks:
            return None
        now = asyncio.get_running_loop().time()
        if self.queue.oldest is not None and now - self.queue.oldest > self.stuck_seconds:
            return f"a pass has been running for {now - self.queue.oldest:.0f} seconds"
        if now - self.ticker.last > self.ticker.every_seconds + self.stuck_seconds:
            return f"no tick for {now - self.ticker.last:.0f} seconds"
        return None

    def _on_end(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception():
            log.error("a part of the operator has failed", exc_info=task.exception())
        self.queue.close()
        self.failed = True
        self.ended.set()


def assemble(
    settings: Settings, catalogue: Catalogue, cluster: Cluster, metrics: Metrics
) -> Operator:
    """Return an operator that has not started."""
    decisions = Decisions(settings.decisions_url)
    keda = Keda.followed(cluster, settings.namespaces, decisions)
    room = Room(cluster, decisions, lambda ref: queue.add(ref))  # noqa: PLW0108  it is made below
    loop = Loop(
        cluster,
        catalogue,
        metrics,
        reporter=settings.identity,
        on_lacking=lambda kinds: lookout.miss(kinds),  # noqa: PLW0108  it is made below
        decided=decisions.of,
        note=room.note,
        keda_trouble=keda.trouble,
    )
    queue = Queue(loop.run)
    metrics.watch_depth(lambda: len(queue))
    ticker = Ticker(cluster, catalogue, settings.namespaces, queue.add, settings.resync_seconds)
    lookout = Lookout(cluster, settings.namespaces, ticker.tick)
    return Operator(
        queue=queue,
        ticker=ticker,
        policies=Policies.of(
            cluster, catalogue.kinds, settings.namespaces, settings.lease_namespace, loop.now
        ),
        lookout=lookout,
        autoscaler=Autoscaler(
            cluster,
            followed(cluster, catalogue, settings.namespaces),
            decisions,
            keda,
            room,
            queue.add,
            metrics.undecided,
        )
        if decisions.url
        else None,
        election=Election(
            cluster,
            settings.lease_namespace,
            settings.lease_name,
            settings.identity,
            settings.lease_seconds,
        ),
        metrics=metrics,
        workers=settings.workers,
        stuck_seconds=settings.stuck_seconds,
    )


async def operate(settings: Settings, catalogue: Catalogue) -> int:
    """Run the operator until a signal stops it or the leadership is lost; return the exit code."""
    metrics = Metrics.create()
    server = await ApiServer.connect()
    cluster = Cluster(server, plurals({**catalogue.looked_at, **POLICIES}), metrics.count_call)
    operator = assemble(settings, catalogue, cluster, metrics)
    try:
        async with probes(
            settings.bind_address,
            settings.health_port,
            settings.metrics_port,
            lambda: operator.trouble(),  # noqa: PLW0108  it may be another one later
            metrics.registry,
        ):
            while await lost_a_kind(_watch(settings, catalogue, operator)):
                operator = assemble(settings, catalogue, cluster, metrics)
    finally:
        await server.close()
    return 1 if operator.failed else 0


async def lost_a_kind(watching: Awaitable[None]) -> bool:
    """Watch until that ends; tell whether it did since a kind has gone from the cluster meanwhile.

    kopf takes that for an error where it asks for such objects before it sees that their CRD is
    gone, as when KEDA is removed: all begins anew, and without the kind.
    """
    try:
        await watching
    except Exception as error:
        if getattr(error, "status", None) != NOT_FOUND:
            raise
        log.warning("a kind that was watched has gone, beginning anew: %s", error)
        return True
    return False


async def _watch(settings: Settings, catalogue: Catalogue, operator: Operator) -> None:
    try:
        with suppress(asyncio.CancelledError):
            await kopf.operator(
                registry=watcher(catalogue, operator.queue.add, operator.start, operator.stop),
                settings=preferences(settings.namespaces),
                # kopf would ask the password file, where our user need not be.
                identity=settings.identity,  # type: ignore[arg-type]  # a NewType it hides
                standalone=True,
                clusterwide=not settings.namespaces,
                namespaces=settings.namespaces,
                stop_flag=operator.ended,
            )
    finally:
        await operator.stop()
