"""What has been used of limits, as one gateway pod counts by itself (pure: time is told).

`take.lua` and `add.lua` do the same in Redis for all pods together; a test holds both to it. No
minute, wherever it begins, has more than a limit allows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from modelops.gateway.limiter.limits import Limit
from modelops.gateway.limiter.window import WINDOW_MS, Window

LEASE_MS: Final = 20_000
"""A request that nobody has renewed for so long no longer counts as one that runs."""

PATIENCE_MS: Final = 1_000
"""When to try again where requests in flight are too many: nobody knows when one ends."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How much of a limit is used, in how long there is room, and when it is whole again; ms."""

    limit: Limit
    used: int
    frees: int
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
        return None if self.passes else max(full, key=lambda s: s.frees)


@dataclass(slots=True)
class Ledger:
    """Counts in memory; `now` is milliseconds of any clock that does not jump."""

    windows: dict[str, Window] = field(default_factory=dict)
    pods: dict[tuple[str, str], int] = field(default_factory=dict)
    """When each pod's share of a limit was counted last."""
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
            running = sum(end > now for end in held.values())
            return Standing(limit, running, PATIENCE_MS, PATIENCE_MS)
        window = self._window(limit.address, now)
        return Standing(limit, window.used, window.frees(limit.most, now), window.resets(now))

    def _window(self, address: str, now: int) -> Window:
        window = self.windows.setdefault(address, Window())
        window.turn(now)
        return window

    def _count(self, limit: Limit, pod: str, lease: str, now: int) -> None:
        if limit.what == "parallel":
            self.leases.setdefault(limit.address, {})[lease] = now + LEASE_MS
        elif limit.what == "requests":
            self._window(limit.address, now).count(1 + self._unasked(limit, pod, now), now)

    def _unasked(self, limit: Limit, pod: str, now: int) -> int:
        """Return what a pod has passed unasked, once a minute."""
        last = self.pods.get((limit.address, pod), now - WINDOW_MS)
        if not limit.share or last + WINDOW_MS > now:
            return 0
        self.pods[limit.address, pod] = now
        return limit.share

    def add(self, amounts: Mapping[Limit, int], now: int) -> frozenset[str]:
        """Count tokens that were used; return the addresses of all limits that are used up."""
        for limit, amount in amounts.items():
            window = self._window(limit.address, now)
            window.count(amount, now)
            if frees := window.frees(limit.most, now):
                self.spent[limit.address] = now + frees
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
        for window in self.windows.values():
            window.turn(now)
        self.windows = {a: window for a, window in self.windows.items() if window.slots}
        self.pods = {key: last for key, last in self.pods.items() if last + WINDOW_MS > now}
        self.spent = {a: ends for a, ends in self.spent.items() if ends > now}
        running = {a: {k: e for k, e in h.items() if e > now} for a, h in self.leases.items()}
        self.leases = {a: held for a, held in running.items() if held}
