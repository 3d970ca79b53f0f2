"""A process that answers an Envoy about limits, without a cluster: what runs beside it in a pod.

Its argument is JSON: the limiter's port, Redis' URL or nothing, the pod's name, whether it is open,
tenants, models, routes, public keys, limits and tokens of keys, and Envoy's admin port and folder.
"""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelops.gateway.files import publish
from modelops.gateway.limiter.service import Limiter
from modelops.gateway.limiter.shared import Shared
from modelops.gateway.meter import Meter
from modelops.gateway.metrics import Metrics
from modelops.gateway.render import render
from modelops.gateway.snapshot import Endpoint, Front, Model, Route, Scale, Snapshot, Target, Tenant
from modelops.redis import Address

CHANGING = ("modelops.json", "routes.json")
"""The files that say who is contended."""


def _model(endpoints: list[dict[str, Any]], scale: dict[str, Any], **fields: Any) -> Model:
    found = tuple(Endpoint(**each) for each in endpoints)
    return Model(endpoints=found, scale=Scale(**scale), **fields)


def _route(targets: list[dict[str, Any]], fallback: list[dict[str, Any]], **fields: Any) -> Route:
    chosen = tuple(Target(_model(**each["model"]), each["weight"]) for each in targets)
    return Route(targets=chosen, fallback=tuple(_model(**each) for each in fallback), **fields)


async def run(told: dict[str, Any]) -> None:
    """Answer until killed."""
    metrics = Metrics.create()
    redis = Address(told["redis"]).client() if told["redis"] else None
    counts = Shared(redis, told["pod"], metrics.redis_up, open_=told["open"])
    admin = f"http://127.0.0.1:{told['admin']}"
    limiter = Limiter(counts, metrics.questions, admin)
    tenants = tuple(Tenant(**fields) for fields in told["tenants"])
    models = tuple(_model(**fields) for fields in told["models"])
    routes = tuple(_route(**fields) for fields in told["routes"])
    limits = frozenset(told["key_limits"])
    snapshot = Snapshot(
        models,
        routes,
        tenants,
        public_keys=tuple(told["public_keys"]),
        key_limits=limits,
        key_tokens=told["key_tokens"],
    )
    limiter.follow(snapshot)

    def write() -> None:
        files = render(replace(snapshot, contended=limiter.contended), Front(told["folder"]))
        publish(Path(told["folder"]), {name: files[name] for name in CHANGING}, {})

    limiter.changed = write
    meter = Meter(admin, (limiter.spend,))
    await asyncio.gather(limiter.run(told["port"]), meter.run())


if __name__ == "__main__":
    asyncio.run(run(json.loads(sys.argv[1])))
