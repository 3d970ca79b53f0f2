"""KEDA as most use it: it looks at a figure at intervals, and scales from zero when that rises."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from aiohttp import web

from e2e.bench.gateway.fleet import connected
from e2e.cluster.keda import Keda
from e2e.cluster.local import LocalCluster
from e2e.cluster.places import Places
from modelops.cluster import Cluster

NAMESPACE: Final = "bench-wake"
EACH: Final = 20
"""Deployments for each interval; the moments at which KEDA looks at them are spread over it."""

HOST: Final = "198.18.0.1"
"""The node, where pods find this machine."""

PATIENCE_SECONDS: Final = 60.0
NO_LABELS: Final[Mapping[str, str]] = {}


def keda_seconds(intervals: Sequence[int]) -> Mapping[int, Sequence[float]]:
    """Return how long KEDA took, by the interval at which it looks, to ask for first replicas."""
    local = LocalCluster(Places.of_environment())
    Keda(local).up()
    with _namespace(local):
        return asyncio.run(_measured(local, intervals))


@contextmanager
def _namespace(local: LocalCluster) -> Iterator[None]:
    local.kubectl("create", "namespace", NAMESPACE)
    try:
        yield
    finally:
        where = ("--namespace", NAMESPACE, "--timeout=60s")
        local.kubectl("delete", "scaledobjects", "--all", *where)
        local.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


async def _measured(local: LocalCluster, intervals: Sequence[int]) -> Mapping[int, Sequence[float]]:
    figure = {"value": 0}
    server, cluster = await connected(local.places.kubeconfig)
    try:
        async with _told(figure) as url:
            await _make(cluster, intervals, url)
            await _looked_at(cluster)
            return await _rise(cluster, intervals, figure)
    finally:
        await server.close()


@asynccontextmanager
async def _told(figure: Mapping[str, int]) -> AsyncIterator[str]:
    """Give the URL of a figure that changes."""

    async def tell(_: web.Request) -> web.Response:
        return web.json_response(figure)

    app = web.Application()
    app.router.add_get("/", tell)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def _make(cluster: Cluster, intervals: Sequence[int], url: str) -> None:
    """Make everything within the longest interval, so that no two are looked at together."""
    for number in range(EACH):
        for interval in intervals:
            for manifest in _pair(f"every-{interval}-{number}", interval, url):
                await cluster.create(manifest)
        await asyncio.sleep(max(intervals) / EACH)


async def _looked_at(cluster: Cluster) -> None:
    """Wait until KEDA says of all that it looks at them."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        place = ("keda.sh/v1alpha1", "ScaledObject", NAMESPACE, NO_LABELS)
        while not all(map(_ready, await cluster.list(*place))):
            pass


def _ready(scaled: Mapping[str, Any]) -> bool:
    listed = scaled.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in listed)


def _pair(name: str, interval: int, url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a Deployment whose pods fit nowhere, and what has KEDA scale it."""
    labels, meta = {"app": name}, {"name": name, "namespace": NAMESPACE}
    pod = {
        "nodeSelector": {"nowhere": "true"},
        "containers": [{"name": "pause", "image": "localhost/none"}],
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta,
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
    looked_at = {"url": url, "valueLocation": "value", "targetValue": "1"}
    scaled = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": meta,
        "spec": {
            "scaleTargetRef": {"name": name},
            "minReplicaCount": 0,
            "maxReplicaCount": 1,
            "pollingInterval": interval,
            "triggers": [{"type": "metrics-api", "metadata": looked_at}],
        },
    }
    return deployment, scaled


async def _rise(
    cluster: Cluster, intervals: Sequence[int], figure: dict[str, int]
) -> Mapping[int, Sequence[float]]:
    """Let the figure rise; return the seconds after which each Deployment was asked for one."""
    place = ("apps/v1", "Deployment", NAMESPACE, NO_LABELS)
    _, version = await cluster.survey(*place)
    figure["value"] = 1
    risen, seen, took = time.monotonic(), set(), defaultdict(list)
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for _, item in cluster.watch(*place, version):
            name = item["metadata"]["name"]
            if item["spec"]["replicas"] == 1 and name not in seen:
                seen.add(name)
                took[int(name.split("-")[1])].append(time.monotonic() - risen)
            if len(seen) == EACH * len(intervals):
                break
    return took
