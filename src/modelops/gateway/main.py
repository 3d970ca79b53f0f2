"""`python -m modelops.gateway.main`: the control process beside Envoy."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx2
from prometheus_client import start_http_server
from pydantic import ValidationError
from redis.asyncio import Redis

from modelops.api.group import EVERY_KIND
from modelops.cluster import RECURSION_LIMIT, ApiServer, Cluster, plurals
from modelops.gateway.activator.service import Activator
from modelops.gateway.activator.waker import Waker
from modelops.gateway.control import Control, View
from modelops.gateway.counters import SECONDS
from modelops.gateway.demand.alarm import Alarm
from modelops.gateway.demand.backlogs import PATIENCE
from modelops.gateway.demand.demand import Demand
from modelops.gateway.demand.figures import Figures
from modelops.gateway.demand.local import Local
from modelops.gateway.demand.peers import Peers
from modelops.gateway.demand.siblings import Siblings
from modelops.gateway.genai import GenAi
from modelops.gateway.jobapi.figures import Figures as JobFigures
from modelops.gateway.jobapi.office import Office
from modelops.gateway.limiter.service import Limiter
from modelops.gateway.limiter.shared import Shared
from modelops.gateway.lives import lives
from modelops.gateway.meter import Meter
from modelops.gateway.metrics import Metrics
from modelops.gateway.oidc import Trust
from modelops.gateway.otlp import Exporter
from modelops.gateway.settings import HIDDEN, PREFIX, Settings
from modelops.logs import configure
from modelops.setting import complaint


async def stay(settings: Settings) -> None:
    """Keep Envoy's files right until SIGTERM, whatever happens."""
    working = asyncio.create_task(lives(partial(run, settings)))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, working.cancel)
    with suppress(asyncio.CancelledError):
        await working
    logging.getLogger(__name__).info("stopped; Envoy goes on with what it has")


async def run(settings: Settings) -> None:
    """Keep Envoy's files right until cancelled; ends only by an error."""
    metrics, admin = Metrics.create(), f"http://127.0.0.1:{settings.admin_port}"
    semantic = GenAi(partial(_asked, admin))
    metrics.registry.register(semantic)
    server = await ApiServer.connect()
    cluster = Cluster(server, plurals(EVERY_KIND), metrics.count_call)
    news = asyncio.Event()
    activator, view = activated(settings, cluster, metrics, news.set)
    limiter = _limiter(settings, metrics, admin)
    limiter.changed = news.set
    trust = _trust(settings, server, metrics, news.set)
    siblings = _siblings(settings, cluster)
    local = Local(admin, held=lambda: activator.held, queued=limiter.gates.queued)
    peers = Peers(siblings.endpoints)
    demand = Demand(local, peers, settings.bind_address, _queue(settings))
    demand.wake = Alarm(activator.waker, view.now).ring
    activator.listeners.append(demand.hurry)
    metrics.registry.register(Figures(demand.book))
    office = Office.of(settings, JobFigures())
    metrics.registry.register(office.figures)
    control = Control(
        view, settings.front, metrics, news, (limiter.follow, demand.follow, office.follow),
        lambda: limiter.contended, lambda: trust.keys,
    )  # fmt: skip
    meter = Meter(admin, (metrics.count_usage, semantic.add, limiter.spend))
    works = (
        trusting(trust, control),
        meter.run(),
        limiter.run(settings.limiter_port),
        activator.run(settings.activator_port),
        siblings.run(),
        office.run(),
        demand.run(settings.scaler_port, settings.demand_port, siblings.changed),
        *_exports(settings, metrics),
    )
    loop = asyncio.get_running_loop()
    working = cast("asyncio.Task[None]", asyncio.current_task())
    leaving = partial(leave, activator, local, settings.settle_seconds, working)
    loop.add_signal_handler(signal.SIGTERM, leaving)
    try:
        with _scraped(settings, metrics):
            await _together(*works)
    finally:
        loop.add_signal_handler(signal.SIGTERM, working.cancel)
        await server.close()


def activated(
    settings: Settings, cluster: Cluster, metrics: Metrics, changed: Callable[[], None]
) -> tuple[Activator, View]:
    """Return the activator and the copies of the cluster's objects that it looks at."""

    def follow() -> None:
        changed()
        activator.look()

    view = View.of(cluster, settings.system_namespace, settings.namespaces, follow)
    waker = Waker(cluster, metrics.count_wake)
    activator = Activator(
        settings.bounds, view.now, lambda: view.complete, waker, metrics.observe_held
    )
    activator.listeners.append(lambda: metrics.tell_held(activator.held))
    return activator, view


def leave(activator: Activator, local: Local, settle: float, working: "asyncio.Task[Any]") -> None:
    """End when nobody needs this process any more: Envoy still takes requests for a while.

    As long as it answers some, the other pods must know of them.
    """

    async def emptied() -> None:
        await activator.empty(settle)
        while not local.at_rest:  # noqa: ASYNC110  Envoy's counts are read once a second
            await asyncio.sleep(local.seconds)
        working.cancel()

    leaving = asyncio.create_task(emptied())
    working.add_done_callback(lambda _: leaving.cancel())


@contextmanager
def _scraped(settings: Settings, metrics: Metrics) -> Iterator[None]:
    server, _ = start_http_server(settings.metrics_port, settings.bind_address, metrics.registry)
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


async def trusting(trust: Trust, control: Control) -> None:
    """Publish nothing before each issuer was asked, so that a new pod takes what others take."""
    trust.recall()
    await trust.refresh()
    await _together(trust.run(), control.run())


def _trust(
    settings: Settings, server: ApiServer, metrics: Metrics, changed: Callable[[], None]
) -> Trust:
    issuers, folder = settings.front.issuers, Path(settings.folder)
    return Trust(issuers, server, folder, changed, metrics.issuer_keys, metrics.issuer_read)


def _exports(settings: Settings, metrics: Metrics) -> list[Coroutine[Any, Any, None]]:
    if not settings.collector:
        return []
    return [Exporter(settings.collector, metrics.registry).run()]


async def _together(*works: Coroutine[Any, Any, None]) -> None:
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)


def _siblings(settings: Settings, cluster: Cluster) -> Siblings:
    return Siblings.of(cluster, settings.system_namespace, settings.peers, settings.pod_ip)


def _queue(settings: Settings) -> Redis | None:
    return settings.jobs_redis.client(PATIENCE) if settings.jobs_redis else None


def _limiter(settings: Settings, metrics: Metrics, admin: str) -> Limiter:
    redis = settings.redis.client() if settings.redis else None
    opened = settings.on_failure == "Open"
    counts = Shared(redis, socket.gethostname(), metrics.redis_up, open_=opened)
    return Limiter(
        counts, metrics.questions, admin, settings.tenant_limit, settings.requests_per_replica
    )


def _asked(admin: str, path: str) -> str | None:
    """Return what Envoy answers; None while it is away."""
    try:
        answer = httpx2.get(admin + path, timeout=SECONDS, trust_env=False)
        return answer.raise_for_status().text
    except httpx2.HTTPError:
        return None


def main() -> int:
    """Run the control process; the exit code is 2 for wrong settings."""
    try:
        settings = Settings()
    except ValidationError as error:
        sys.stderr.write(complaint(error, PREFIX, "gateway", HIDDEN) + "\n")
        return 2
    sys.setrecursionlimit(RECURSION_LIMIT)
    configure(settings.log_level, "json", "httpx2")
    asyncio.run(stay(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
