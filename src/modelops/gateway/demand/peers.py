"""Hears from the other gateway pods, each about once a second and at once when it matters."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final

from aiohttp import ClientError, ClientSession

from modelops.gateway.demand.bounded import bounded
from modelops.gateway.demand.pages import HOLD_SECONDS, SEEN, VERSION
from modelops.gateway.demand.share import MOST_BYTES, Share
from modelops.gateway.snapshot import Endpoint

PATIENCE: Final = HOLD_SECONDS + 2.0
STALE_SECONDS: Final = 5.0
"""A share that is older is not known any more."""

RETRY_SECONDS: Final = 0.5

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Peers:
    """The pods that `wanted` names, without this one, each with the share that it told last.

    None instead of names is that nobody knows them yet.
    """

    wanted: Callable[[], Collection[Endpoint] | None]
    heard: Callable[[], None] = lambda: None
    """Called when a peer tells of something that matters at once."""
    told: dict[Endpoint, tuple[float, Share]] = field(default_factory=dict)
    asking: dict[Endpoint, "asyncio.Task[None]"] = field(default_factory=dict)

    def shares(self, now: float) -> list[Share | None]:
        """Return the share of each; None of those that have not told it lately."""
        wanted = self.wanted()
        return [None] if wanted is None else [self._share(peer, now) for peer in wanted]

    def _share(self, peer: Endpoint, now: float) -> Share | None:
        at, share = self.told.get(peer, (-STALE_SECONDS, None))
        return share if now - at < STALE_SECONDS else None

    async def run(self, changed: asyncio.Event) -> None:
        """Follow whoever is wanted until cancelled; `changed` is set when that is another."""
        async with ClientSession(trust_env=False) as web, asyncio.TaskGroup() as group:
            while True:
                changed.clear()
                wanted = set(self.wanted() or ())
                for gone in self.asking.keys() - wanted:
                    self.asking.pop(gone).cancel()
                    self.told.pop(gone, None)
                for new in wanted - self.asking.keys():
                    self.asking[new] = group.create_task(self._follow(web, new))
                await changed.wait()

    async def _follow(self, web: ClientSession, peer: Endpoint) -> None:
        seen = ""
        while True:
            try:
                version, share = await _ask(web, peer, seen)
            except (ClientError, OSError, TimeoutError, ValueError) as error:
                log.debug("the gateway pod at %s does not tell its share: %r", peer, error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self.told[peer] = time.monotonic(), share
            if version != seen:
                self.heard()
            seen = version


async def _ask(web: ClientSession, peer: Endpoint, seen: str) -> tuple[str, Share]:
    url, query = f"{peer.url}/demand", {SEEN: seen}
    async with asyncio.timeout(PATIENCE), web.get(url, params=query) as answer:
        answer.raise_for_status()
        text = await bounded(answer.content.iter_any(), MOST_BYTES)
        return answer.headers.get(VERSION, ""), Share.model_validate_json(text)
