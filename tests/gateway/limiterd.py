"""A process that answers an Envoy about limits, without a cluster: what runs beside it in a pod.

Its argument is JSON: the limiter's port, Redis' URL or nothing, the pod's name, whether it is open,
tenants, tokens of keys, and Envoy's admin port and folder.
"""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from modelops.gateway.files import publish
from modelops.gateway.limiter.service import Limiter
from modelops.gateway.limiter.shared import Shared, connect
from modelops.gateway.meter import Meter
from modelops.gateway.metrics import Metrics
from modelops.gateway.render import render
from modelops.gateway.snapshot import Front, Snapshot, Tenant

CHANGING = "revocation.json"
"""The file that says who is contended."""


async def run(told: dict[str, Any]) -> None:
    """Answer until killed."""
    metrics = Metrics.create()
    redis = connect(told["redis"]) if told["redis"] else None
    counts = Shared(redis, told["pod"], metrics.redis_up, open_=told["open"])
    limiter = Limiter(counts, metrics.questions)
    tenants = tuple(Tenant(**fields) for fields in told["tenants"])
    snapshot = Snapshot(tenants=tenants, key_tokens=told["key_tokens"])
    limiter.follow(snapshot)

    def write() -> None:
        files = render(replace(snapshot, contended=limiter.contended), Front(told["folder"]))
        publish(Path(told["folder"]), {CHANGING: files[CHANGING]}, {})

    limiter.changed = write
    meter = Meter(f"http://127.0.0.1:{told['admin']}", (limiter.spend,))
    await asyncio.gather(limiter.run(told["port"]), meter.run())


if __name__ == "__main__":
    asyncio.run(run(json.loads(sys.argv[1])))
