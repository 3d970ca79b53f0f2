"""How many requests each model has at this Envoy, read from its admin port."""

import re
from typing import Final

from httpx2 import AsyncClient, HTTPError

PATH: Final = "/stats?usedonly&filter=^cluster\\..*\\.upstream_rq_active$"
SECONDS: Final = 2.0
_LINE: Final = re.compile(r"^cluster\.(.+)\.upstream_rq_active: (\d+)$", re.MULTILINE)


def parse(text: str) -> dict[str, int]:
    """Return the requests in flight by cluster."""
    return {cluster: int(count) for cluster, count in _LINE.findall(text)}


async def read(envoy: AsyncClient) -> dict[str, int] | None:
    """Return them as Envoy says; None while it does not answer."""
    try:
        answer = await envoy.get(PATH, timeout=SECONDS)
        return parse(answer.raise_for_status().text)
    except HTTPError:
        return None
