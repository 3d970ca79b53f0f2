"""Who waits to be painted, and who goes together (pure)."""

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Line(Generic[T]):
    """Those who wait, in the order in which they came.

    The first of them always goes next, and with it those of the same shape: so nobody waits for
    ever, and nobody waits for more to come.
    """

    def __init__(self, shape: Callable[[T], Hashable], size: Callable[[T], int]) -> None:
        """Begin with nobody; ``size`` is how much of a batch one takes."""
        self._shape = shape
        self._size = size
        self._waiting: list[T] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, one: T) -> None:
        """Put one at the end."""
        self._waiting.append(one)

    def leave(self, one: T) -> None:
        """Take one out that does not want to wait any more, if it still waits."""
        self._waiting = [each for each in self._waiting if each is not one]

    def take(self, most: int) -> list[T]:
        """Take out who goes next: the first, and as many of its shape as fit into a batch."""
        if not self._waiting:
            return []
        first, *rest = self._waiting
        taken, left = [first], most - self._size(first)
        for one in rest:
            if self._shape(one) == self._shape(first) and self._size(one) <= left:
                taken.append(one)
                left -= self._size(one)
        self._waiting = [one for one in self._waiting if not any(one is t for t in taken)]
        return taken
