"""Tells others what Envoy has counted, as it counts it."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from httpx2 import AsyncClient, HTTPError

from modelops.gateway.counters import Series, growth, read

SECONDS: Final = 1.0
"""Time between two readings."""

Growth = Mapping[Series, int]
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Meter:
    """Reads Envoy's counts once a second and hands what was added to each listener.

    `admin` is the URL of Envoy's admin port. What an Envoy that was there before had counted
    until then is told to nobody: the process before this one has told it.
    """

    admin: str
    listeners: Sequence[Callable[[Growth], None]]

    async def run(self) -> None:
        """Read until cancelled; while Envoy is away there is nothing to tell."""
        async with AsyncClient(base_url=self.admin, trust_env=False) as envoy:
            before: Growth = await _reading(envoy) or {}
            while True:
                await asyncio.sleep(SECONDS)
                now = await _reading(envoy)
                if now is not None:
                    self._tell(growth(before, now))
                    before = now

    def _tell(self, added: Growth) -> None:
        for listener in self.listeners if added else ():
            listener(added)


async def _reading(envoy: AsyncClient) -> dict[Series, int] | None:
    try:
        return await read(envoy)
    except HTTPError as error:
        log.debug("Envoy's counts cannot be read, trying again: %s", error)
        return None
