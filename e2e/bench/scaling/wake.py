"""From a request to a replica that is asked for, and from one that is ready to an answer's bytes.

Models at zero are objects of a real API server; the gateway is Envoy with its control process. No
kubelet runs, since a real engine's start would only add to both times: the measurement itself says
when a replica is ready, and the engine is the fake one. KEDA is the real one, on the local cluster,
and looks at a figure that rises at one moment.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import httpx

from e2e.bench.gateway.fleet import TEAM, Fleet, connected
from e2e.bench.gateway.process import Sides, free_port, listening, running
from e2e.bench.gateway.stage import HOSTS, addresses, gateway
from e2e.bench.gateway.traffic import Target, program
from e2e.bench.record import Figure, record
from e2e.bench.scaling.polled import keda_seconds
from e2e.cluster.apiserver import ControlPlane
from e2e.cluster.shell import step
from modelops.api.base import API_VERSION
from modelops.cluster import Cluster

MODELS: Final = 100
CALLERS: Final = 200
CROWD: Final = "crowd"
AWAKE: Final = "awake"
PATIENCE_SECONDS: Final = 60.0
NO_LABELS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Wakes:
    """Seconds from requests to asks, and from ready replicas to first bytes; answers lost."""

    asked: Sequence[float]
    answered: Sequence[float]
    crowd: Sequence[float]
    """From the replica of two hundred callers to the first byte of each."""
    lost: int


@dataclass(slots=True)
class Asks:
    """When the API server told that each model was asked to have a replica."""

    cluster: Cluster
    times: dict[str, float] = field(default_factory=dict)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def follow(self) -> None:
        """Follow until cancelled."""
        place = (API_VERSION, "TextModel", TEAM, NO_LABELS)
        _, version = await self.cluster.survey(*place)
        while True:
            async for _, item in self.cluster.watch(*place, version):
                version = item["metadata"]["resourceVersion"]
                if item["spec"]["scaling"].get("replicas") == 1:
                    await self._tell(item["metadata"]["name"])

    async def _tell(self, name: str) -> None:
        async with self.news:
            self.times.setdefault(name, time.monotonic())
            self.news.notify_all()

    async def of(self, name: str) -> float:
        """Return when a model was asked for, as soon as it was."""
        async with self.news:
            await self.news.wait_for(lambda: name in self.times)
        return self.times[name]


def measure() -> None:
    """Measure and record; the cluster must have room for KEDA."""
    with step(f"waking {MODELS} models, then one for {CALLERS} callers"):
        wakes = _ours()
    with step("KEDA, which looks every 30 s and every second"):
        keda = keda_seconds((30, 1))
    record("wake", figures(wakes, keda))


def figures(wakes: Wakes, keda: Mapping[int, Sequence[float]]) -> list[Figure]:
    """Return what is recorded, in milliseconds."""
    beside = {
        f"keda_{polling}s_{name}": 1000 * of(seconds)
        for polling, seconds in keda.items()
        for name, of in (("p50", statistics.median), ("p99", _p99))
    }
    p50 = 1000 * statistics.median(wakes.asked)
    first = {"p50": 1000 * statistics.median(wakes.answered)}
    crowd = {"p50": 1000 * statistics.median(wakes.crowd), "callers": float(CALLERS)}
    return [
        Figure("wake_p99_ms", 1000 * _p99(wakes.asked), "ms", {"p50": p50, **beside}),
        Figure("ready_to_first_byte_p99_ms", 1000 * _p99(wakes.answered), "ms", first),
        Figure("ready_to_first_byte_crowd_p99_ms", 1000 * _p99(wakes.crowd), "ms", crowd),
        Figure("wake_lost", wakes.lost, "answers", {"callers": float(CALLERS)}),
    ]


def _p99(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98]


def _ours() -> Wakes:
    sides = Sides.of_machine()
    with ExitStack() as stack, TemporaryDirectory(prefix="bench-") as name:
        folder, port = Path(name), free_port()
        stack.enter_context(addresses())
        listens = f"127.0.0.1:{port},{HOSTS[0]}:{port}"
        command: list[str | Path] = [program(), "engine", f"-listen={listens}"]
        engine = running(command, sides.rest, folder / "engine.log")
        listening(stack.enter_context(engine), port)
        api = stack.enter_context(ControlPlane.create())
        fleet = Fleet(api.kubeconfig, [f"{HOSTS[0]}:{port}"])
        key = fleet.begin()
        names = tuple(f"sleepy-{number:03}" for number in range(MODELS))
        fleet.add([AWAKE])
        fleet.add([*names, CROWD], asleep=True)
        seat, _ = gateway(stack, folder / "gateway", api.kubeconfig, (key, (AWAKE,)), sides)
        return asyncio.run(_wake(fleet, seat.target, names))


async def _wake(fleet: Fleet, target: Target, names: Sequence[str]) -> Wakes:
    server, cluster = await connected(fleet.kubeconfig)
    asks = Asks(cluster)
    following = asyncio.create_task(asks.follow())
    try:
        async with _client(target) as client:
            await _known(client, len(names) + 2)
            each = [await _one(client, asks, fleet, name) for name in names]
            crowd, lost = await _many(client, asks, fleet)
    finally:
        following.cancel()
        await server.close()
    return Wakes([a for a, _ in each], [b for _, b in each], crowd, lost)


@asynccontextmanager
async def _client(target: Target) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{target.port}",
        headers={"Authorization": f"Bearer {target.key}"},
        timeout=PATIENCE_SECONDS,
        limits=httpx.Limits(max_connections=None),
    ) as client:
        yield client


async def _known(client: httpx.AsyncClient, number: int) -> None:
    while len((await client.get("/v1/models")).json()["data"]) < number:
        pass


async def _first_byte(client: httpx.AsyncClient, model: str) -> float | None:
    """Return when the first byte of an answer came; None when it was none, or not whole."""
    said = [{"role": "user", "content": "Hello"}]
    body = {"model": model, "stream": True, "messages": said, "max_tokens": 4}
    first, last = None, b""
    try:
        async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            async for piece in answer.aiter_raw():
                first = first or time.monotonic()
                last = (last + piece)[-32:]
    except httpx.HTTPError:
        return None
    return first if answer.is_success and last.endswith(b"data: [DONE]\n\n") else None


async def _one(
    client: httpx.AsyncClient, asks: Asks, fleet: Fleet, name: str
) -> tuple[float, float]:
    """Return how long it took until a model was asked for, and from its replica to an answer."""
    started = time.monotonic()
    answer = asyncio.create_task(_first_byte(client, name))
    asked = await asks.of(name)
    ready = time.monotonic()
    await asks.cluster.create(fleet.slice(name))
    first = await answer
    assert first is not None
    return asked - started, first - ready


async def _many(client: httpx.AsyncClient, asks: Asks, fleet: Fleet) -> tuple[list[float], int]:
    answers = [asyncio.create_task(_first_byte(client, CROWD)) for _ in range(CALLERS)]
    await asks.of(CROWD)
    ready = time.monotonic()
    await asks.cluster.create(fleet.slice(CROWD))
    firsts = await asyncio.gather(*answers)
    came = [first - ready for first in firsts if first is not None]
    return came, CALLERS - len(came)


if __name__ == "__main__":
    measure()
