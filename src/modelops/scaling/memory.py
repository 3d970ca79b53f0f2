"""What decisions remember of one model."""

from dataclasses import dataclass, field, replace
from typing import Final

from modelops.scaling.decision import Decision
from modelops.scaling.policy import Policy
from modelops.scaling.pulse import Pulse
from modelops.scaling.reading import Reading
from modelops.scaling.start import Start
from modelops.scaling.window import Window

GAP_SECONDS: Final = 30.0
"""After so long without a reading nobody knows whether the model was idle."""

MINUTE: Final = 60.0


@dataclass(frozen=True, slots=True)
class Memory:
    """The last decision, and what the windows of the policy need; empty at first.

    ``rose`` says whether requests arrived just before the last reading. ``active_at`` is when there
    last was, or may have been, something to do. ``asked_up`` and ``asked_down`` hold what the load
    asked for in the windows of both directions, ``decided`` what was decided. ``pulse`` and
    ``start`` are what was learnt of the model.
    """

    at: float | None = None
    last: Decision | None = None
    replicas: int | None = None
    arrivals: float | None = None
    rose: bool = False
    active_at: float | None = None
    asked_up: Window = field(default_factory=Window)
    asked_down: Window = field(default_factory=Window)
    decided: Window = field(default_factory=Window)
    pulse: Pulse = field(default_factory=Pulse)
    start: Start = field(default_factory=Start)

    def read(self, reading: Reading) -> "Memory":
        """Return it after a reading."""
        since = reading.at if self.active_at is None else self.active_at
        arrivals = self.arrivals if reading.arrivals is None else reading.arrivals
        return replace(
            self,
            at=reading.at,
            replicas=self.replicas if reading.replicas is None else reading.replicas,
            arrivals=arrivals,
            rose=_more(self.arrivals, arrivals),
            active_at=since if self._quiet(reading) else reading.at,
            start=self.start.see(reading.at, reading.ready),
        )

    def learn(self, policy: Policy, before: "Memory", reading: Reading) -> "Memory":
        """Return it after a whole reading, with what there was ``before`` it."""
        wanted, took = policy.targets.ttft_milliseconds, reading.ttft_milliseconds
        slow = wanted is not None and took is not None and took > wanted
        if before.at is None or reading.at - before.at > GAP_SECONDS:
            pulse = self.pulse.pause(reading.at, reading.load or 0.0)
        else:
            arrived = max((self.arrivals or 0.0) - (before.arrivals or 0.0), 0.0)
            pulse = self.pulse.feel(reading, arrived, slow=slow)
        return replace(self, pulse=pulse)

    def ask(self, policy: Policy, at: float, replicas: int) -> "Memory":
        """Return it after the load asked for so many replicas."""
        up = self.asked_up.add(at, replicas, policy.up.window_seconds)
        down = self.asked_down.add(at, replicas, policy.down.window_seconds)
        return replace(self, asked_up=up, asked_down=down)

    def decide(self, reading: Reading, decision: Decision) -> "Memory":
        """Return it after a decision."""
        count = decision.replicas
        return replace(
            self,
            last=decision,
            decided=self.decided.add(reading.at, count, MINUTE),
            start=self.start.ask(reading.at, reading.ready, count),
        )

    def _quiet(self, reading: Reading) -> bool:
        """Whether the model had surely nothing to do since the last reading."""
        if self.at is None or reading.at - self.at > GAP_SECONDS or not reading.silent:
            return False
        woken = self.replicas == 0 and bool(reading.replicas)
        return not woken and reading.arrivals in {None, self.arrivals}


def _more(before: float | None, now: float | None) -> bool:
    """Say whether a count rose; one that was reset did not."""
    return before is not None and now is not None and now > before
