"""The part of the control process that knows what is asked of each model, and decides."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from redis.asyncio import Redis

from modelops.gateway.demand.backlogs import Backlogs
from modelops.gateway.demand.book import Book
from modelops.gateway.demand.engines import Engines
from modelops.gateway.demand.local import Local
from modelops.gateway.demand.pages import Pages
from modelops.gateway.demand.peers import Peers
from modelops.gateway.demand.scaler import Scaler
from modelops.gateway.demand.total import Arrivals, Found
from modelops.gateway.snapshot import Endpoint, Model, Snapshot
from modelops.jobs.queue import Backlog

GAP_SECONDS: Final = 0.02
"""What comes at once is decided about at once; more often than this it is not."""


@dataclass(slots=True)
class Demand:
    """Listens to Envoy, the activator, the engines, the queue and the other pods; decides; tells.

    `address` is where its two ports are opened, `queue` the Redis with the jobs of models.
    """

    local: Local
    peers: Peers
    address: str = "0.0.0.0"
    queue: Redis | None = None
    wake: Callable[[Collection[str]], None] = lambda _: None
    """Is told, at each decision, for which models without a replica jobs wait, by cluster."""
    book: Book = field(default_factory=Book)
    models: tuple[Model, ...] = ()
    """Those that scale."""
    held: frozenset[str] = frozenset()
    """The models of which requests are held, as the other pods know."""
    due: asyncio.Event = field(default_factory=asyncio.Event)
    urgent: bool = False
    """Whether what is due concerns only models of which requests are held."""
    arrivals: Arrivals = field(default_factory=Arrivals)
    called: frozenset[str] = frozenset()
    """The models, by NAMESPACE/NAME, whose jobs have come just now."""
    engines: Engines = field(init=False)
    backlogs: Backlogs = field(init=False)
    pages: Pages = field(init=False)

    def __post_init__(self) -> None:
        self.engines = Engines(self._endpoints)
        self.backlogs = Backlogs(self.queue, self._doing_jobs, self._come)
        self.pages = Pages(lambda: self.local.share, self.book)
        self.local.questions = lambda: self.book.questions
        self.local.read, self.peers.heard = self._all_due, self._held_due

    def follow(self, snapshot: Snapshot) -> None:
        """Decide about the models that there are now."""
        self.models = tuple(model for model in snapshot.models if model.policy)
        self.book.follow(self.models)
        known = {model.cluster for model in snapshot.models}
        self.local.keep(known)
        self.arrivals.keep(known)
        self._all_due()

    def hurry(self) -> None:
        """Hear that other requests are held than were; that a model has any is told at once."""
        before = self.held
        self.held = frozenset(model for model, count in self.local.held().items() if count)
        if self.held - before:
            self.pages.urge()
            self._held_due()

    def _come(self, models: frozenset[str]) -> None:
        """Decide at once about those to which jobs came."""
        self.called |= models
        self._held_due()

    def _all_due(self) -> None:
        self.urgent = False
        self.due.set()

    def _held_due(self) -> None:
        """Decide about those that somebody waits for; among thousands they are few."""
        self.urgent = self.urgent or not self.due.is_set()
        self.due.set()

    async def run(self, scaler_port: int, pages_port: int, changed: asyncio.Event) -> None:
        """Work until cancelled; `changed` is set when there are other pods than there were."""
        async with (
            Scaler(self.book).serve(scaler_port, self.address),
            self.pages.serve(pages_port, self.address),
            asyncio.TaskGroup() as group,
        ):
            group.create_task(self.local.run())
            group.create_task(self.engines.run())
            group.create_task(self.backlogs.run())
            group.create_task(self.peers.run(changed))
            group.create_task(self._decide())

    async def _decide(self) -> None:
        while True:
            await self.due.wait()
            urgent, self.urgent = self.urgent, False
            self.due.clear()
            self.decide(time.time(), time.monotonic(), urgent=urgent)
            await asyncio.sleep(GAP_SECONDS)

    def decide(self, at: float, now: float, *, urgent: bool = False) -> None:
        """Decide about all models, or about those with held requests where it is urgent.

        `at` is in unix seconds, `now` by the monotonic clock.
        """
        shares = [self.local.share, *self.peers.shares(now)]
        self.arrivals.hear(share for share in shares if share is not None)
        backlogs = self.backlogs.fresh(now)
        found = Found(shares, self.engines.fresh(now), self.arrivals.total, backlogs)
        held = {model for share in shares if share is not None for model in share.held}
        called, self.called = self.called, frozenset()
        self.book.decide(
            (m for m in self.models if not urgent or m.cluster in held or m.address in called),
            found,
            at,
        )
        self.wake(self._waited_for(backlogs))

    def _waited_for(self, backlogs: Mapping[str, Backlog]) -> Collection[str]:
        """Return the models without a replica for which jobs wait."""
        none = (model for model in self.models if model.jobs and not model.endpoints)
        found = ((model, backlogs.get(model.address)) for model in none)
        return {model.cluster for model, backlog in found if backlog and backlog.waiting}

    def _endpoints(self) -> Collection[Endpoint]:
        return {e for model in self.models if not model.jobs for e in model.endpoints}

    def _doing_jobs(self) -> Collection[str]:
        return [model.address for model in self.models if model.jobs]
