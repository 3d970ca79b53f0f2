"""A process that answers Envoy about limits, without a cluster: what a gateway pod runs beside it.

Arguments: its port, Redis' URL or nothing, its name, Open or Closed, tenants as JSON.
"""

import asyncio
import json
import sys

from modelops.gateway.limiter.service import Limiter
from modelops.gateway.limiter.shared import Shared, connect
from modelops.gateway.metrics import Metrics
from modelops.gateway.snapshot import Snapshot, Tenant


async def run(port: int, url: str, pod: str, *, opened: bool, tenants: list[Tenant]) -> None:
    """Answer until killed."""
    metrics = Metrics.create()
    counts = Shared(connect(url) if url else None, pod, metrics.redis_up, open_=opened)
    limiter = Limiter(counts, metrics.questions)
    limiter.follow(Snapshot(tenants=tuple(tenants)))
    await limiter.run(port)


if __name__ == "__main__":
    told = [Tenant(**fields) for fields in json.loads(sys.argv[5])]
    opened = sys.argv[4] == "Open"
    asyncio.run(run(int(sys.argv[1]), sys.argv[2], sys.argv[3], opened=opened, tenants=told))
