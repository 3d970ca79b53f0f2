"""Who is next: fair by weight over tenants, however much each of them sends (pure)."""

from dataclasses import dataclass, field
from typing import Final

Flow = tuple[str, int]
WEIGHTS: Final = {"high": 4, "standard": 2, "low": 1}


@dataclass(frozen=True, slots=True)
class Ticket:
    """A request that wants in: its lease, whose it is, and the weight of its priority."""

    lease: str
    tenant: str
    weight: int

    @property
    def flow(self) -> Flow:
        """Among which it stands in line."""
        return self.tenant, self.weight


@dataclass(slots=True)
class FairQueue:
    """Stride scheduling: a flow's turn comes the sooner, the larger its weight.

    A flow that comes back has no turns saved up, and owes those that it had.
    """

    flows: dict[Flow, dict[str, Ticket]] = field(default_factory=dict)
    turns: dict[Flow, float] = field(default_factory=dict)
    time: float = 0.0

    def __len__(self) -> int:
        return sum(map(len, self.flows.values()))

    def push(self, ticket: Ticket) -> None:
        """Let a request stand in line, last of its flow."""
        if ticket.flow not in self.flows:
            self.turns[ticket.flow] = max(self.turns.get(ticket.flow, 0.0), self.time)
        self.flows.setdefault(ticket.flow, {})[ticket.lease] = ticket

    def pop(self) -> Ticket:
        """Take the request whose turn it is; there must be one."""
        flow = min(self.flows, key=lambda f: (self.turns[f], f))
        ticket = next(iter(self.flows[flow].values()))
        self.time = self.turns[flow]
        self.turns[flow] += 1 / flow[1]
        self.remove(ticket.lease)
        self.turns = {f: t for f, t in self.turns.items() if f in self.flows or t > self.time}
        return ticket

    def remove(self, lease: str) -> None:
        """Let a request go, wherever it stands; doing so twice changes nothing."""
        for flow, line in tuple(self.flows.items()):
            if line.pop(lease, None) and not line:
                del self.flows[flow]

    def longest(self) -> Ticket | None:
        """Return the last request of the flow that has most in line for its weight."""
        if not self.flows:
            return None
        flow = max(self.flows, key=lambda f: (self.load(f), f))
        return next(reversed(self.flows[flow].values()))

    def load(self, flow: Flow) -> float:
        """Return how much of a flow stands in line, by its weight."""
        return len(self.flows.get(flow, ())) / flow[1]
