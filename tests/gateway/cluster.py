"""A fake API server that can be watched, and the objects that a gateway reads."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from controller.fake import FakeApiServer
from modelops.cluster import Unreachable

LABELS = {"app.kubernetes.io/managed-by": "modelops"}
PLURALS = {
    "TextModel": "textmodels",
    "ModelRoute": "modelroutes",
    "Tenant": "tenants",
    "EndpointSlice": "endpointslices",
    "ConfigMap": "configmaps",
}


@dataclass
class WatchedApiServer(FakeApiServer):
    """The fake API server with watches, which tell what differs from what was listed."""

    news: asyncio.Condition = field(default_factory=asyncio.Condition)
    stale: bool = False
    """Whether the version of the next watch is too old."""
    refused: int = 0
    """Requests that came while the server was down."""

    async def lines(self, path: str) -> AsyncIterator[bytes]:
        """Yield events until the server is down."""
        url = urlsplit(path)
        if self.stale:
            self.stale = False
            yield json.dumps({"type": "ERROR", "object": {"message": "too old"}}).encode()
            return
        labels = parse_qs(url.query).get("labelSelector", [""])[0]
        known = await self._listed(url.path, labels)
        while True:
            async with self.news:
                await self.news.wait()
            now = await self._listed(url.path, labels)
            for line in _events(known, now):
                yield line
            known = now

    async def _listed(self, path: str, labels: str) -> dict[str, dict[str, Any]]:
        answer = await self.request("GET", f"{path}?labelSelector={labels}", None, "")
        items = json.loads(answer.body)["items"]
        return {f"{i['metadata']['namespace']}/{i['metadata']['name']}": i for i in items}

    async def have(self, *manifests: dict[str, Any]) -> None:
        """Have objects and tell those who watch."""
        for manifest in manifests:
            self.put(manifest, PLURALS[manifest["kind"]])
        await self.tell()

    async def tell(self) -> None:
        """Wake those who watch."""
        async with self.news:
            self.news.notify_all()

    def _arrive(self, method: str, path: str) -> None:
        if self.down:
            self.refused += 1
            raise Unreachable("the fake API server is down")
        super()._arrive(method, path)


def _events(before: dict[str, dict[str, Any]], now: dict[str, dict[str, Any]]) -> list[bytes]:
    gone = [("DELETED", before[name]) for name in before.keys() - now.keys()]
    came = [("MODIFIED", item) for name, item in now.items() if before.get(name) != item]
    return [json.dumps({"type": what, "object": item}).encode() for what, item in (*gone, *came)]


def text_model(name: str, namespace: str = "team", day: int = 1, /, **model: str) -> dict[str, Any]:
    """Return a model that was made on that day of January."""
    created = f"2026-01-{day:02}T00:00:00Z"
    meta = {"name": name, "namespace": namespace, "creationTimestamp": created}
    spec = {"model": {"uri": "hf://o/n", **model}}
    return {"apiVersion": "modelops.dev/v1alpha1", "kind": "TextModel", "metadata": meta,
            "spec": spec}  # fmt: skip


def policy(kind: str, name: str, namespace: str, spec: dict[str, Any]) -> dict[str, Any]:
    """Return a ModelRoute or a Tenant that was made on the ninth of January."""
    created = "2026-01-09T00:00:00Z"
    meta = {"name": name, "namespace": namespace, "creationTimestamp": created}
    return {"apiVersion": "modelops.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def replicas(name: str, /, **ready: bool) -> dict[str, Any]:
    """Return the EndpointSlice of a model: the hosts of its replicas, and which are ready."""
    labels = LABELS | {"kubernetes.io/service-name": name}
    endpoints = [
        {"addresses": [f"{host}.example"], "conditions": {"ready": truth}}
        for host, truth in ready.items()
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-x", "namespace": "team", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"name": "metrics", "port": 1}, {"name": "http", "port": 8000}],
        "endpoints": endpoints,
    }
