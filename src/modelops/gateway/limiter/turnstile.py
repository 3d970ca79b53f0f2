"""Holds requests before a saturated model until one of those that run has ended."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from modelops.gateway.limiter.gate import Gate
from modelops.gateway.limiter.queue import Ticket

HOLD_SECONDS: Final = 10.0
"""Who has waited for so long is refused; Envoy gives the question up some seconds later."""


@dataclass(slots=True)
class Turnstile:
    """The gate of one model, and those who wait before it."""

    gate: Gate
    seconds: float = HOLD_SECONDS
    waiting: dict[str, "asyncio.Future[bool]"] = field(default_factory=dict)

    async def enter(self, ticket: Ticket) -> bool:
        """Wait for one's turn; return False when that does not come in time."""
        arrival = self.gate.arrive(ticket)
        if arrival.away:
            self._answer(arrival.away.lease, passes=False)
        if not arrival.waits:
            return arrival.passes
        turn: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.waiting[ticket.lease] = turn
        passes = False
        try:
            async with asyncio.timeout(self.seconds):
                passes = await turn
        except TimeoutError:
            return False
        finally:
            del self.waiting[ticket.lease]
            if not passes:
                self.leave(ticket.lease)
        return passes

    def leave(self, lease: str) -> None:
        """Let a request end, and the next one in."""
        self.gate.leave(lease)
        self._admit()

    def measure(self, active: int, room: int) -> None:
        """Hear how many requests run, and how many may."""
        self.gate.measure(active, room)
        self._admit()

    def _admit(self) -> None:
        for ticket in self.gate.admit():
            self._answer(ticket.lease, passes=True)

    def _answer(self, lease: str, *, passes: bool) -> None:
        turn = self.waiting.get(lease)
        if turn and not turn.done():
            turn.set_result(passes)
