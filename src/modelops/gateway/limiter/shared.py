"""Counts in Redis for all gateway pods together; by itself while Redis does not answer."""

import logging
import math
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Final, Protocol

from redis.asyncio import Redis
from redis.exceptions import RedisError

from modelops.gateway.limiter.ledger import (
    LEASE_MS,
    PATIENCE_MS,
    Ledger,
    Standing,
    Taken,
)
from modelops.gateway.limiter.limits import Limit
from modelops.gateway.limiter.window import SLOT_MS, WINDOW_MS

PAUSE_SECONDS: Final = 1.0
"""So long an absent Redis is not asked again, so that requests do not wait for it one by one."""

SCRIPTS: Final = files("modelops.gateway.limiter")
WINDOW: Final = (SCRIPTS / "window.lua").read_text()
TAKING: Final = WINDOW + (SCRIPTS / "take.lua").read_text()
ADDITION: Final = WINDOW + (SCRIPTS / "add.lua").read_text()
SPENT: Final = "modelops:spent"
"""Where Redis keeps the addresses of limits that are used up, with their ends."""

ALIVE: Final = "modelops:pods"
ALIVE_MS: Final = 15_000
"""A pod that has not said that it lives for so long has gone."""

PODS: Final = """
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call("ZADD", KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", now)
redis.call("PEXPIRE", KEYS[1], ARGV[2])
return redis.call("ZCARD", KEYS[1])
"""

RELEASE: Final = """
for _, address in ipairs(KEYS) do
  redis.call("ZREM", address, ARGV[1])
end
"""

RENEWAL: Final = """
local time = redis.call("TIME")
local ends = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
for number, address in ipairs(KEYS) do
  redis.call("ZADD", address, ends, ARGV[number + 1])
  redis.call("PEXPIRE", address, ARGV[1])
end
"""

log = logging.getLogger(__name__)


class Away(Exception):
    """Limits cannot be looked up, and nothing passes without that."""


class Gauge(Protocol):
    """Something that shows a number."""

    def set(self, value: float) -> None:
        """Show it."""


@dataclass(slots=True)
class Shared:
    """The counts of all pods. Without Redis: this pod's own if `open_`, else nothing passes."""

    redis: Redis | None
    pod: str
    up: Gauge
    open_: bool = True
    own: Ledger = field(default_factory=Ledger)
    _pods: int = 1
    _again: float = 0.0
    _down: bool = False

    def __post_init__(self) -> None:
        if self.redis is None:
            self.up.set(math.nan)

    async def take(self, limits: Sequence[Limit], lease: str) -> Taken:
        """Count one request under all of its limits, or under none when one is used up.

        Raise Away when Redis does not answer and requests shall not pass then.
        """
        if not limits:
            return Taken(passes=True, standings=())
        words = [str(w) for limit in limits for w in (limit.what, limit.most, limit.share)]
        times = (WINDOW_MS, SLOT_MS, LEASE_MS, PATIENCE_MS)
        addresses = [limit.address for limit in limits]
        answer = await self._run(TAKING, addresses, self.pod, lease, *times, *words)
        if answer is None:
            return self.own.take(limits, self.pod, lease, _now())
        passes, *numbers = answer
        told = zip(limits, numbers[::3], numbers[1::3], numbers[2::3], strict=True)
        return Taken(bool(passes), tuple(Standing(*each) for each in told))

    async def add(self, amounts: Mapping[Limit, int]) -> frozenset[str]:
        """Count tokens that were used; return the addresses of all limits that are used up."""
        addresses = [SPENT, *(limit.address for limit in amounts)]
        words = [n for limit, amount in amounts.items() for n in (amount, limit.most)]
        answer = None
        with suppress(Away):
            answer = await self._run(ADDITION, addresses, WINDOW_MS, SLOT_MS, *words)
        if answer is None:
            return self.own.add(amounts, _now())
        return frozenset(address.decode() for address in answer)

    async def pods(self) -> int:
        """Say that this pod lives, and return how many do; as many as before without Redis."""
        with suppress(Away):
            found = await self._run(PODS, [ALIVE], self.pod, ALIVE_MS)
            self._pods = found or self._pods
        return self._pods

    async def release(self, addresses: Sequence[str], lease: str) -> None:
        """Let a request end; doing so twice changes nothing."""
        self.own.release(addresses, lease)
        if addresses:
            with suppress(Away):
                await self._run(RELEASE, addresses, lease)

    async def renew(self, leases: Mapping[str, Sequence[str]]) -> None:
        """Let the requests that still run count on: leases, and the addresses that they hold."""
        self.own.renew(leases, _now())
        self.own.sweep(_now())
        # Redis' own clock, since those of pods differ.
        held = [(address, lease) for lease, places in leases.items() for address in places]
        if held:
            flat = [lease for _, lease in held]
            keys = [address for address, _ in held]
            with suppress(Away):
                await self._run(RENEWAL, keys, LEASE_MS, *flat)

    async def _run(self, script: str, keys: Sequence[str], *words: str | int) -> Any:
        """Return what a script in Redis answers; None when it gives none and requests pass then.

        Raise Away where they shall not.
        """
        if self.redis is not None and time.monotonic() >= self._again:
            try:
                answer = await self.redis.eval(script, len(keys), *keys, *map(str, words))
            except (RedisError, OSError) as error:
                self._again = time.monotonic() + PAUSE_SECONDS
                self._tell(error)
            else:
                self._tell(None)
                return answer
        if not self.open_ and self.redis is not None:
            raise Away
        return None

    def _tell(self, error: Exception | None) -> None:
        self.up.set(error is None)
        if (error is not None) == self._down:
            return
        self._down = error is not None
        if error is None:
            log.info("Redis answers again; limits are those of all gateway pods together")
        elif self.open_:
            log.warning("Redis does not answer; each gateway pod counts by itself: %s", error)
        else:
            log.warning("Redis does not answer; contended requests are refused: %s", error)


def _now() -> int:
    return time.monotonic_ns() // 1_000_000
