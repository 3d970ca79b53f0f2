"""The demand of gateway pods without Envoy, and engines that tell what they are told to tell."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from gateway.proxy import free_ports
from modelops.gateway.demand.backlogs import PATIENCE
from modelops.gateway.demand.demand import Demand
from modelops.gateway.demand.local import Local
from modelops.gateway.demand.peers import Peers
from modelops.gateway.snapshot import Endpoint, Model, Snapshot
from modelops.redis import Address
from modelops.scaling.decision import Decision
from modelops.scaling.policy import Policy, Targets

POLICY = Policy(minimum=0, maximum=9, targets=Targets(concurrency=2), idle_after_seconds=1)
CHAT = Model("chat", "team", "chat", 1, policy=POLICY, asked=0)


@dataclass
class Envoy:
    """An admin port that tells these counts of requests, by cluster; None: it is away."""

    active: dict[str, int] | None = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)

    async def answer(self, _: web.Request) -> web.Response:
        """Tell them."""
        told = [f"cluster.{name}.upstream_rq_total: {n}" for name, n in self.total.items()]
        told += [f"cluster.{n}.upstream_rq_active: {c}" for n, c in (self.active or {}).items()]
        return web.Response(text="\n".join(told), status=503 if self.active is None else 200)


@dataclass
class Pod:
    """One gateway pod on loopback: its Envoy, what it holds, and the pods that it knows."""

    scaler: int
    port: int
    admin: int
    envoy: Envoy = field(default_factory=Envoy)
    held: dict[str, int] = field(default_factory=dict)
    others: list[Endpoint] | None = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    queue: Address | None = None
    demand: Demand = field(init=False)

    def __post_init__(self) -> None:
        """Make what runs in its control process, in a hurry."""
        local = Local(f"http://127.0.0.1:{self.admin}", held=lambda: self.held, seconds=0.05)
        queue = self.queue.client(PATIENCE) if self.queue else None
        self.demand = Demand(local, Peers(lambda: self.others), "127.0.0.1", queue)
        self.demand.engines.seconds = 0.05

    @property
    def endpoint(self) -> Endpoint:
        """Where it tells its share."""
        return Endpoint("127.0.0.1", self.port)

    def hold(self, **held: int) -> None:
        """Let its activator hold requests."""
        self.held = {f"team.{name}": count for name, count in held.items()}
        self.demand.hurry()

    def knows(self, *models: Model) -> None:
        """Let it know these models."""
        self.demand.follow(Snapshot(models=models))

    @property
    def decided(self) -> Decision | None:
        """What it decided about team/chat last."""
        entry = self.demand.book.entries.get("team/chat")
        return entry.decision if entry else None

    @property
    def replicas(self) -> int | None:
        """So many replicas."""
        return self.decided.replicas if self.decided else None

    @property
    def metric(self) -> str | None:
        """For this reason."""
        return self.decided.metric if self.decided else None

    async def run(self) -> None:
        """Run until cancelled."""
        async with serving(self.admin, "/stats", self.envoy.answer):
            await self.demand.run(self.scaler, self.port, self.changed)


@asynccontextmanager
async def serving(port: int, path: str, answer: Any) -> AsyncIterator[int]:
    """Answer on loopback; give the port."""
    app = web.Application()
    app.add_routes([web.get(path, answer)])
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def pods(
    count: int = 1, *models: Model, queue: Address | None = None
) -> AsyncIterator[list[Pod]]:
    """Run gateway pods that know each other and these models, or team/chat; nothing is asked."""
    ports = iter(free_ports(3 * count))
    made = [Pod(next(ports), next(ports), next(ports), queue=queue) for _ in range(count)]
    works = []
    for pod in made:
        pod.others = [other.endpoint for other in made if other is not pod]
        pod.knows(*(models or (CHAT,)))
        works.append(asyncio.create_task(pod.run()))
    try:
        yield made
        assert not any(work.done() for work in works)
    finally:
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)
        for pod in made:
            if pod.demand.queue:
                await pod.demand.queue.aclose()


async def eventually(holds: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110  what is waited for has no event of its own
            await asyncio.sleep(0.01)


@dataclass
class Told:
    """An engine that tells this page, after so long."""

    page: str = ""
    status: int = 200
    hangs: bool = False
    asked: int = 0
    port: int = 0

    @property
    def endpoint(self) -> Endpoint:
        """Where it tells it."""
        return Endpoint("127.0.0.1", self.port)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Tell it."""
        self.asked += 1
        if not self.hangs:
            return web.Response(text=self.page, status=self.status)
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"# drop by drop\n")
            await asyncio.sleep(0.05)


@asynccontextmanager
async def telling(*engines: Told) -> AsyncIterator[None]:
    """Run engines."""
    async with AsyncExitStack() as stack:
        for engine in engines:
            running = serving(engine.port, "/metrics", engine.answer)
            engine.port = await stack.enter_async_context(running)
        yield


def page(waiting: float = 0, running: float = 0, cache: float = 0) -> str:
    """Return what vLLM tells, in its words."""
    labels = 'engine="0",model_name="tiny"'
    return f"""\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{{labels}}} {running}
# HELP vllm:num_requests_waiting Number of requests waiting to be processed.
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{{{labels}}} {waiting}
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{{{labels}}} {cache}
# TYPE process_cpu_seconds_total counter
process_cpu_seconds_total 12.5
"""


def served_by(*engines: Told, asked: int | None = None) -> Model:
    """Return team/chat with these engines."""
    return replace(CHAT, endpoints=tuple(e.endpoint for e in engines), asked=asked or len(engines))
