"""A gateway as a pod has it, for tests of models at zero: a real Envoy and the control's parts."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from gateway.cluster import LABELS, WatchedApiServer, text_model
from gateway.proxy import Gateway, free_ports, gateway
from modelops.api.group import EVERY_KIND
from modelops.cluster import Cluster, plurals
from modelops.gateway.activator.service import Activator
from modelops.gateway.control import Control
from modelops.gateway.files import published
from modelops.gateway.keys import KeyRecord
from modelops.gateway.keystore import KeyStore
from modelops.gateway.main import activated
from modelops.gateway.metrics import Metrics
from modelops.gateway.settings import Settings
from plaintext import NO_TLS

SYSTEM = "modelops-system"
PATH = "/v1/chat/completions"


@dataclass
class Pod:
    """A running gateway in front of a fake API server; `client` has a key for everything."""

    server: WatchedApiServer
    front: Gateway
    settings: Settings
    client: httpx.AsyncClient
    key: str
    metrics: Metrics = field(default_factory=Metrics.create)
    activator: Activator = field(init=False)
    _working: "asyncio.Task[None] | None" = None

    async def start(self) -> None:
        """Start the control process's parts, as after a restart."""
        news = asyncio.Event()
        cluster = Cluster(self.server, plurals(EVERY_KIND), self.metrics.count_call)
        self.activator, view = activated(self.settings, cluster, self.metrics, news.set)
        control = Control(view, self.front.front, self.metrics, news)
        self._working = asyncio.create_task(_together(control, self.activator, self.settings))

    async def stop(self) -> None:
        """End them at once, as a crash does."""
        assert self._working
        self._working.cancel()
        await asyncio.gather(self._working, return_exceptions=True)

    async def have(self, name: str, *ports: int, **scaling: Any) -> None:
        """Have a model with replicas on these ports of loopback, and wait until it is served."""
        manifest = text_model(name)
        manifest["spec"]["scaling"] = {"minReplicas": 0, "replicas": 0, **scaling}
        await self.server.have(manifest)
        await self.replicas(name, *ports)
        await self.until(lambda: f'"team.{name}"' in published(self.folder).get("routes.json", ""))
        while (await self.client.get(f"/v1/models/{name}")).status_code != 200:
            await self.server.tell()

    async def replicas(self, name: str, *ports: int) -> None:
        """Have these replicas be ready."""
        await self.server.have(endpoints(name, *ports))

    async def ask(self, name: str, **body: Any) -> httpx.Response:
        """Send a chat."""
        return await self.client.post(PATH, json={"model": name, "messages": [], **body})

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, while those who watch are told everything."""
        async with asyncio.timeout(20):
            while not holds():
                await self.server.tell()
                await asyncio.sleep(0.01)

    async def end(self, *tasks: "asyncio.Task[Any]") -> list[Any]:
        """Return what these give when they have all ended."""
        await self.until(lambda: all(task.done() for task in tasks))
        return [await task for task in tasks]

    async def until_held(self, name: str, number: int) -> None:
        """Wait until so many requests of a model are held."""
        await self.until(lambda: self.activator.held.get(f"team.{name}", 0) == number)

    def asked(self, name: str) -> int | None:
        """Return how many replicas are asked for."""
        found = self.server.find("textmodels", f"team/{name}")
        assert found
        number: int | None = found["spec"]["scaling"].get("replicas")
        return number

    def edit(self, name: str, **scaling: Any) -> None:
        """Change what a model says of its scale, as somebody else would."""
        place = f"team/{name}"
        self.server.edit("textmodels", place, lambda m: m["spec"]["scaling"].update(scaling))

    @property
    def folder(self) -> Path:
        """Where Envoy's files are."""
        return Path(self.front.front.folder)


async def _together(control: Control, activator: Activator, settings: Settings) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(control.run())
        group.create_task(activator.run(settings.activator_port))


def endpoints(name: str, *ports: int) -> dict[str, Any]:
    """Return the EndpointSlice of a model whose replica listens on the first of these ports.

    A slice has one port: each further one has a slice of its own in a cluster, and none here.
    """
    labels = LABELS | {"kubernetes.io/service-name": name}
    ready = [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}] if ports else []
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-x", "namespace": "team", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port} for port in ports[:1]],
        "endpoints": ready,
    }


@asynccontextmanager
async def pod(folder: Path, **settings: Any) -> AsyncIterator[Pod]:
    """Run a gateway whose control process has these settings."""
    (port,) = free_ports(1)
    server = WatchedApiServer()
    key = await KeyStore(Cluster(server, plurals(EVERY_KIND)), SYSTEM).add(_record())
    with gateway(folder, activator_port=port) as front:
        said = Settings(activator_port=port, **settings)
        bearer = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(
            base_url=front.url, headers=bearer, timeout=60, verify=NO_TLS
        ) as client:
            made = Pod(server, front, said, client, key)
            await made.start()
            try:
                yield made
            finally:
                await made.stop()


def _record() -> KeyRecord:
    now = int(time.time())
    return KeyRecord("key-1", "acme", ("*",), now, now + 600)


def play(folder: Path, story: Callable[[Pod], Any], **settings: Any) -> None:
    """Run a story of one gateway."""

    async def run() -> None:
        async with asyncio.timeout(30), pod(folder, **settings) as running:
            await story(running)

    asyncio.run(run())
