"""Whom a saturated model lets in: as many as it can work on, the others wait or go (pure)."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from modelops.gateway.limiter.queue import FairQueue, Ticket

FULL: Final = 0.8
"""At this part of its room a model's requests have to ask."""

SLACK: Final = 0.5
"""Below this part they need not, after a while."""

CALM_READINGS: Final = 10
WAITING: Final = 2
"""So many times the room may wait."""

FEWEST_WAITING: Final = 8
LOST_READINGS: Final = 10
"""Requests that Envoy does not have for so many readings have ended, though it did not say so."""


class Arrival(NamedTuple):
    """What happens to a request that comes: it passes, waits, or neither; and who goes for it."""

    passes: bool = False
    waits: bool = False
    away: Ticket | None = None


@dataclass(slots=True)
class Gate:
    """One model's requests at one gateway pod; ``room`` is how many may run at a time."""

    room: int
    held: dict[str, None] = field(default_factory=dict)
    """The leases of those that run, oldest first."""
    others: int = 0
    """How many run that never asked."""
    queue: FairQueue = field(default_factory=FairQueue)
    calm: int = 0
    lost: int = 0

    @property
    def running(self) -> int:
        """How many run."""
        return len(self.held) + self.others

    @property
    def needed(self) -> bool:
        """Whether requests have to ask still."""
        return self.calm < CALM_READINGS

    def arrive(self, ticket: Ticket) -> Arrival:
        """Take a request in, let it wait, or refuse it or one of whom more wait."""
        if not self.queue and self.running < self.room:
            self.held[ticket.lease] = None
            return Arrival(passes=True)
        away = None
        if len(self.queue) >= max(FEWEST_WAITING, WAITING * self.room):
            away = self.queue.longest()
            if away is None or self.queue.load(away.flow) <= self.queue.load(ticket.flow):
                return Arrival(away=None)
            self.queue.remove(away.lease)
        self.queue.push(ticket)
        return Arrival(waits=True, away=away)

    def leave(self, lease: str) -> None:
        """Let a request end or go; doing so twice changes nothing."""
        self.held.pop(lease, None)
        self.queue.remove(lease)

    def admit(self) -> list[Ticket]:
        """Return those who wait and may run now."""
        admitted = []
        while self.queue and self.running < self.room:
            ticket = self.queue.pop()
            self.held[ticket.lease] = None
            admitted.append(ticket)
        return admitted

    def measure(self, active: int, room: int) -> None:
        """Hear how many requests Envoy has with the model now, and what room there is."""
        self.room = room
        self.others = max(0, active - len(self.held))
        missing = max(0, len(self.held) - active)
        self.lost = self.lost + 1 if missing else 0
        if self.lost >= LOST_READINGS:
            for lease in tuple(self.held)[:missing]:
                del self.held[lease]
            self.lost = 0
        calm = not self.queue and max(active, self.running) < SLACK * room
        self.calm = self.calm + 1 if calm else 0


def saturated(active: int, room: int) -> bool:
    """Tell whether a model's requests have to ask from now on."""
    return room > 0 and active >= FULL * room
