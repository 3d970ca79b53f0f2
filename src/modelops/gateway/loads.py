"""How many requests each model has and had at this Envoy, read from its admin port."""

import re
from dataclasses import dataclass, field
from typing import Final

from httpx2 import AsyncClient, HTTPError

PATH: Final = "/stats?usedonly&filter=^cluster\\..*\\.upstream_rq_active$"
BOTH: Final = "/stats?usedonly&filter=^cluster\\..*\\.upstream_rq_(active|total)$"
SECONDS: Final = 2.0
_LINE: Final = re.compile(r"^cluster\.(.+)\.upstream_rq_(active|total): (\d+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Counted:
    """Requests by cluster: those in flight, and all since Envoy began."""

    active: dict[str, int] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)


def parse(text: str) -> Counted:
    """Return what a text of Envoy's says."""
    counted = Counted()
    for cluster, which, count in _LINE.findall(text):
        (counted.active if which == "active" else counted.total)[cluster] = int(count)
    return counted


async def read(envoy: AsyncClient) -> dict[str, int] | None:
    """Return the requests in flight, as Envoy says; None while it does not answer."""
    counted = await count(envoy, PATH)
    return None if counted is None else counted.active


async def count(envoy: AsyncClient, path: str = BOTH) -> Counted | None:
    """Return what Envoy has counted; None while it does not answer."""
    try:
        answer = await envoy.get(path, timeout=SECONDS)
        return parse(answer.raise_for_status().text)
    except HTTPError:
        return None
