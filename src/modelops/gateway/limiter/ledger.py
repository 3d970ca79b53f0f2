"""What has been used of limits, as one gateway pod counts by itself (pure: time is told).

`shared.lua` does the same in Redis for all pods together; a test holds them to each other.
A minute begins with the first request in it: no clock but the ledger's own is asked, and a
limit is reached exactly.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from modelops.gateway.limiter.limits import Limit

WINDOW_MS: Final = 60_000
LEASE_MS: Final = 20_000
"""A request that nobody has renewed for so long no longer counts as one that runs."""

PATIENCE_MS: Final = 1_000
"""When to try again where requests in flight are too many: nobody knows when one ends."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of a limit is used, and when it is whole again; milliseconds."""

    limit: Limit
    used: int
    resets: int

    @property
    def remaining(self) -> int:
        """What is left of it."""
        return max(0, self.limit.most - self.used)


@dataclass(frozen=True, slots=True)
class Taken:
    """Whether a request passes, and how its limits stand after that, in their order."""

    passes: bool
    standings: tuple[Standing, ...]

    @property
    def refused_by(self) -> Standing | None:
        """The limit that keeps it off for longest; None when it passes."""
        full = [s for s in self.standings if not s.remaining]
        return None if self.passes else max(full, key=lambda s: s.resets)


@dataclass(slots=True)
class _Window:
    ends: int
    used: int = 0
    pods: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Ledger:
    """Counts in memory; `now` is milliseconds of any clock that does not jump."""

    windows: dict[str, _Window] = field(default_factory=dict)
    leases: dict[str, dict[str, int]] = field(default_factory=dict)
    spent: dict[str, int] = field(default_factory=dict)

    def take(self, limits: Sequence[Limit], pod: str, lease: str, now: int) -> Taken:
        """Count one request under all of its limits, or under none when one is used up."""
        before = [self._standing(limit, now) for limit in limits]
        passes = all(s.remaining for s in before)
        if not passes:
            return Taken(passes=False, standings=tuple(before))
        for limit in limits:
            self._count(limit, pod, lease, now)
        return Taken(passes=True, standings=tuple(self._standing(limit, now) for limit in limits))

    def _standing(self, limit: Limit, now: int) -> Standing:
        if limit.what == "parallel":
            held = self.leases.get(limit.address, {})
            return Standing(limit, sum(end > now for end in held.values()), PATIENCE_MS)
        window = self._window(limit.address, now)
        return Standing(limit, window.used, window.ends - now) if window else _unused(limit)

    def _window(self, address: str, now: int) -> _Window | None:
        window = self.windows.get(address)
        return window if window and window.ends > now else None

    def _count(self, limit: Limit, pod: str, lease: str, now: int) -> None:
        if limit.what == "parallel":
            self.leases.setdefault(limit.address, {})[lease] = now + LEASE_MS
        elif limit.what == "requests":
            window = self._opened(limit.address, now)
            window.used += 1
            if limit.share and pod not in window.pods:
                window.used += limit.share
                window.pods.add(pod)

    def _opened(self, address: str, now: int) -> _Window:
        if not self._window(address, now):
            self.windows[address] = _Window(now + WINDOW_MS)
        return self.windows[address]

    def add(self, amounts: Mapping[Limit, int], now: int) -> frozenset[str]:
        """Count tokens that were used; return the addresses of all limits that are used up."""
        for limit, amount in amounts.items():
            window = self._opened(limit.address, now)
            window.used += amount
            if window.used >= limit.most:
                self.spent[limit.address] = window.ends
        return frozenset(address for address, ends in self.spent.items() if ends > now)

    def release(self, addresses: Iterable[str], lease: str) -> None:
        """Let a request end; doing so twice changes nothing."""
        for address in addresses:
            self.leases.get(address, {}).pop(lease, None)

    def renew(self, leases: Mapping[str, Sequence[str]], now: int) -> None:
        """Let the requests that still run count on: leases, and the addresses that they hold."""
        for lease, addresses in leases.items():
            for address in addresses:
                self.leases.setdefault(address, {})[lease] = now + LEASE_MS

    def sweep(self, now: int) -> None:
        """Forget what is over."""
        self.windows = {a: w for a, w in self.windows.items() if w.ends > now}
        self.spent = {a: ends for a, ends in self.spent.items() if ends > now}
        running = {a: {k: e for k, e in h.items() if e > now} for a, h in self.leases.items()}
        self.leases = {a: held for a, held in running.items() if held}


def _unused(limit: Limit) -> Standing:
    return Standing(limit, 0, WINDOW_MS if limit.what == "requests" else 0)
