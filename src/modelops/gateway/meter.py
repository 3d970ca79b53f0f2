"""Tells others what Envoy has counted, as it counts it."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from httpx2 import AsyncClient, ConnectError, HTTPError

from modelops.gateway.counters import Counts, Series, growth, read

SECONDS: Final = 1.0
"""Time between two readings, at least."""

SHARE: Final = 30
"""A reading costs Envoy time, the more models there are: it may take no larger part of it."""

Growth = Mapping[Series, int]
log = logging.getLogger(__name__)


@dataclass(slots=True)
class Meter:
    """Reads Envoy's counts about once a second and hands what was added to each listener.

    `admin` is the URL of Envoy's admin port. What an Envoy that was there before had counted
    until then is told to nobody: the process before this one has told it.
    """

    admin: str
    listeners: Sequence[Callable[[Growth], None]]

    async def run(self) -> None:
        """Read until cancelled; while Envoy is away there is nothing to tell."""
        async with AsyncClient(base_url=self.admin, trust_env=False) as envoy:
            before = await _beginning(envoy)
            took = 0.0
            while True:
                await asyncio.sleep(max(SECONDS, SHARE * took))
                started = time.monotonic()
                before = await self.catch_up(envoy, before)
                took = time.monotonic() - started

    async def catch_up(self, envoy: AsyncClient, before: Counts) -> Counts:
        """Tell what was added, piece by piece; return what is known then.

        What an answer that breaks off has told is not told again.
        """
        now: Counts = {}
        try:
            async with aclosing(read(envoy)) as pieces:
                async for piece in pieces:
                    self._tell(growth(before, piece))
                    now |= piece
        except HTTPError as error:
            _complain(error)
            return before | now
        return now

    def _tell(self, added: Growth) -> None:
        for listener in self.listeners if added else ():
            listener(added)


async def _beginning(envoy: AsyncClient) -> Counts:
    """Return what was counted until now: nothing only where there is no Envoy yet.

    One that is slow has counted already, and all that would be told as new.
    """
    while True:
        try:
            async with aclosing(read(envoy)) as pieces:
                return {words: count async for piece in pieces for words, count in piece.items()}
        except ConnectError:
            return {}
        except HTTPError as error:
            _complain(error)
            await asyncio.sleep(SECONDS)


def _complain(error: HTTPError) -> None:
    """Say why nothing is counted; the kubelet tells by itself that there is no Envoy."""
    level = logging.DEBUG if isinstance(error, ConnectError) else logging.WARNING
    log.log(level, "Envoy's counts cannot be read, trying again: %r", error)
