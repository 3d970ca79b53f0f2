"""Which idle models give way to one of higher priority that no node has room for."""

from collections.abc import Iterable
from dataclasses import dataclass

from modelops.sync.observed import Ref


@dataclass(frozen=True, slots=True)
class Contender:
    """A model, as far as it matters where accelerators are few.

    One replica takes ``count`` of ``resource_name`` (None: it takes none), ``replicas`` are asked
    for, and ``ready`` ones hold it for sure: one that no node has room for holds nothing.
    ``waits`` tells that it preempts and that no node has room for a replica of it;
    ``idle`` that it may go to zero and is known to have no request, in flight or held.
    """

    ref: Ref
    priority: int
    resource_name: str | None
    count: int
    replicas: int
    ready: int = 0
    waits: bool = False
    idle: bool = False

    @property
    def held(self) -> int:
        """How much of the resource it gives back when it goes to zero."""
        return self.count * min(self.ready, self.replicas)

    @property
    def name(self) -> str:
        """How sentences call it."""
        return f"{self.ref.kind} {self.ref.namespace}/{self.ref.name}"


def giving_way(waiting: Contender, others: Iterable[Contender]) -> tuple[Contender, ...]:
    """Return the models to send to zero for one replica of a model that waits; none: they cannot.

    The lowest priority goes first, then whoever gives most; no more go than are needed. Which
    nodes they are on is not looked at.
    """
    chosen: list[Contender] = []
    missing = waiting.count if waiting.waits and waiting.resource_name else 0
    for one in sorted(others, key=_order):
        if missing > 0 and _yields(one, waiting):
            chosen.append(one)
            missing -= one.held
    return tuple(chosen) if missing <= 0 else ()


def _order(one: Contender) -> tuple[int, int, str]:
    return one.priority, -one.held, one.name


def _yields(one: Contender, waiting: Contender) -> bool:
    lower = one.priority < waiting.priority and one.ref != waiting.ref
    same = one.resource_name == waiting.resource_name
    return lower and same and one.idle and one.held > 0
