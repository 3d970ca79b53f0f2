"""Models on a real API server: objects without pods, whose replicas are the fake engine."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes.aio import config
from kubernetes.aio.client import Configuration

from modelops.api.base import API_VERSION
from modelops.api.crd import crd
from modelops.api.group import EVERY_KIND
from modelops.cluster import ApiServer, Cluster, NotFound, error, plurals
from modelops.gateway.control import MANAGED
from modelops.gateway.keys import KeyRecord
from modelops.gateway.keystore import KeyStore
from modelops.gateway.observed import PORT

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SYSTEM = "modelops-system"
TEAM = "team"
AT_ONCE = 16
ENOUGH = 10_000_000
"""Requests per minute of the key: counted, and never reached."""

PLACES = 4096
"""Requests at a time of a replica: the fake engine takes them all, and so none waits its turn."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Names of models and where each of them answers: `HOST:PORT`."""

    kubeconfig: Path
    replicas: Sequence[str]

    def begin(self) -> str:
        """Create namespaces, kinds and an API key for every model; return the key."""
        return asyncio.run(self._begin())

    def add(self, names: Iterable[str], *, asleep: bool = False) -> None:
        """Create models with their replicas, or at zero."""
        asyncio.run(self._add(list(names), asleep=asleep))

    async def _begin(self) -> str:
        server, cluster = await connected(self.kubeconfig)
        try:
            for name in (SYSTEM, TEAM):
                await _create(server, "/api/v1/namespaces", {"metadata": {"name": name}})
            for kind in EVERY_KIND.values():
                await _create(server, CRDS, crd(kind))
                await _served(cluster, kind.name)
            now = int(time.time())
            record = KeyRecord("bench", "acme", ("*",), now, now + 86_400, rpm=ENOUGH)
            return await KeyStore(cluster, SYSTEM).add(record)
        finally:
            await server.close()

    async def _add(self, names: list[str], *, asleep: bool) -> None:
        server, cluster = await connected(self.kubeconfig)
        turn = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with turn:
                await cluster.create(_model(name, asleep=asleep))
                if not asleep:
                    await cluster.create(self.slice(name))

        try:
            await asyncio.gather(*map(one, names))
        finally:
            await server.close()

    def slice(self, name: str) -> dict[str, Any]:
        """Return what says that a model's replicas are ready."""
        labels = {**MANAGED, "kubernetes.io/service-name": name}
        hosts = [replica.rpartition(":")[0] for replica in self.replicas]
        port = int(self.replicas[0].rpartition(":")[2])
        return {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{name}-1", "namespace": TEAM, "labels": labels},
            "addressType": "IPv4",
            "ports": [{"name": PORT, "port": port}],
            "endpoints": [{"addresses": [host]} for host in hosts],
        }


async def connected(kubeconfig: Path) -> tuple[ApiServer, Cluster]:
    """Return a connection to that cluster, which is to be closed, and the verbs on it."""
    configuration = Configuration()
    await config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=str(kubeconfig), client_configuration=configuration
    )
    server = ApiServer(configuration)
    return server, Cluster(server, plurals(EVERY_KIND))


def _model(name: str, *, asleep: bool) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "model": {"uri": "pvc://weights/tiny"},
        "runtime": {"args": [f"--max-num-seqs={PLACES}"]},
    }
    if asleep:
        spec["scaling"] = {"minReplicas": 0, "replicas": 0}
    return {
        "apiVersion": API_VERSION,
        "kind": "TextModel",
        "metadata": {"name": name, "namespace": TEAM},
        "spec": spec,
    }


async def _create(server: ApiServer, path: str, manifest: dict[str, Any]) -> None:
    """Create an object that is in no namespace."""
    answer = await server.request("POST", path, manifest, "application/json")
    if answer.status >= 300:
        raise error(answer)


async def _served(cluster: Cluster, kind: str) -> None:
    while True:
        try:
            await cluster.list(API_VERSION, kind, None, {})
        except NotFound:
            await asyncio.sleep(0.1)
        else:
            return
