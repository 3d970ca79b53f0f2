"""Clusters that no route needs any more, and that stay until Envoy surely knows the new routes.

Envoy takes its files one by one, and a large one of routes later than a small one of clusters: a
request in between would find its route and no cluster.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

Made = TypeVar("Made")

KEEP_SECONDS: Final = 30.0


@dataclass(slots=True)
class Retired(Generic[Made]):
    """The clusters of the last configuration, and those that went, with the time when they did."""

    _last: Mapping[str, Made] = field(default_factory=dict)
    _gone: dict[str, tuple[float, Made]] = field(default_factory=dict)

    def beside(self, current: Mapping[str, Made], now: float) -> dict[str, Made]:
        """Return what stays beside the clusters that are needed now; `now` is in seconds."""
        recent = {n: kept for n, kept in self._gone.items() if now - kept[0] < KEEP_SECONDS}
        gone = recent | {name: (now, cluster) for name, cluster in self._last.items()}
        self._gone = {name: kept for name, kept in gone.items() if name not in current}
        self._last = current
        return {name: cluster for name, (_, cluster) in self._gone.items()}
