"""How many requests may be held, and how large they may be (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Full = Literal["model", "total", "bytes"]
"""Of what there is no more: places for one model, for all of them, or bytes."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most that is held: requests of one model and in all, bytes in all; for how long.

    ``heartbeat`` is the time between two words to somebody who waits for a stream. All times are
    in seconds.
    """

    model: int = 1000
    total: int = 2000
    size: int = 64 * 1024 * 1024
    seconds: float = 600
    heartbeat: float = 10


@dataclass(slots=True)
class Places:
    """Who has a place: how many requests of each model, and how many bytes of them."""

    bounds: Bounds
    size: int = 0
    _held: dict[str, int] = field(default_factory=dict)

    @property
    def held(self) -> Mapping[str, int]:
        """How many requests of each model are held, by cluster; those without any are left out."""
        return self._held

    def enter(self, cluster: str, size: int) -> Full | None:
        """Take a place for a request of so many bytes; return what there is too little of."""
        if self._held.get(cluster, 0) >= self.bounds.model:
            return "model"
        if sum(self._held.values()) >= self.bounds.total:
            return "total"
        if self.size + size > self.bounds.size:
            return "bytes"
        self._held[cluster] = self._held.get(cluster, 0) + 1
        self.size += size
        return None

    def leave(self, cluster: str, size: int) -> None:
        """Give a place back."""
        self.size -= size
        if self._held[cluster] > 1:
            self._held[cluster] -= 1
        else:
            del self._held[cluster]
