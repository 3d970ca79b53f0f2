"""Replicas that come and go, a gateway in front of them, and somebody who scales."""

import heapq
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Protocol

from modelops.scaling.reading import Reading
from modelops.simulation.engine import Engine, Job
from modelops.simulation.speed import L4_8B, Speed
from modelops.simulation.trace import Request, Trace

PATIENCE_SECONDS: Final = 3600.0
"""What is not answered so long after the last request came counts as waiting for ever."""

TTFT_SECONDS: Final = 30.0
"""A reading tells how long nine of ten requests of so long waited for their first token."""


class Scaler(Protocol):
    """Somebody who is asked how many replicas there are to be, every ``every`` seconds."""

    every: float
    blind: bool
    """Whether it looks at the time alone."""

    def wanted(self, reading: Reading) -> int:
        """Return the number of replicas."""
        ...


@dataclass(frozen=True, slots=True)
class Setting:
    """Where a trace is played.

    ``replicas`` are there and ready at first. ``choices`` replicas are looked at for each request,
    and the one with the fewest requests gets it, as Envoy does.
    """

    speed: Speed = L4_8B
    replicas: int = 1
    cold_start_seconds: float = 30.0
    drain_seconds: float = 60.0
    choices: int = 2
    seed: int = 0


@dataclass(slots=True, eq=False)
class Replica:
    """One replica: asked for, then ready, then told to leave, then gone."""

    engine: Engine
    since: float
    ready: bool = False
    leaving: bool = False
    gone: float | None = None


@dataclass(frozen=True, slots=True)
class Moment:
    """What was there at one second: ``replicas`` are all that take a place, ``ready`` serve."""

    at: float
    replicas: int
    ready: int
    in_flight: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Played:
    """What became of a trace: its jobs, its replicas as (from, to), its seconds one by one.

    It is judged from ``begin`` to ``seconds``; before, it warms up.
    """

    begin: float
    seconds: float
    jobs: tuple[Job, ...]
    replicas: tuple[tuple[float, float], ...]
    moments: tuple[Moment, ...]

    @property
    def replica_hours(self) -> float:
        """How long replicas took a place while the trace lasted, starts and drains included."""
        ends = [(max(a, self.begin), min(b, self.seconds)) for a, b in self.replicas]
        return sum(max(gone - since, 0.0) for since, gone in ends) / 3600

    @property
    def judged(self) -> tuple[Job, ...]:
        """The jobs that came after the warm-up."""
        return tuple(job for job in self.jobs if job.request.at >= self.begin)

    def attainment(self, ttft_seconds: float) -> float:
        """Return the share of requests whose first token came in time and that were not cut."""
        good = sum(job.met(ttft_seconds) for job in self.judged)
        return good / len(self.judged) if self.judged else 1.0


@dataclass(frozen=True, slots=True)
class Patience:
    """Ends a play as soon as more than so many judged requests waited longer for a first token."""

    ttft_seconds: float
    most_late: int


@dataclass(slots=True, eq=False)
class World:
    """A trace as it is played."""

    setting: Setting
    scaler: Scaler
    patience: Patience | None = None
    late: int = 0
    begin: float = 0.0
    now: float = 0.0
    jobs: list[Job] = field(default_factory=list)
    held: deque[Job] = field(default_factory=deque)
    replicas: list[Replica] = field(default_factory=list)
    past: list[Replica] = field(default_factory=list)
    open: int = 0
    firsts: deque[tuple[float, float]] = field(default_factory=deque)
    moments: list[Moment] = field(default_factory=list)
    events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    numbers: "count[int]" = field(default_factory=count)
    chance: random.Random = field(default_factory=random.Random)

    def play(self, trace: Trace, seconds: float, begin: float = 0.0) -> Played:
        """Play a trace of so many seconds to its end and return what became of it."""
        self.chance.seed(self.setting.seed)
        self.begin = begin
        for _ in range(self.setting.replicas):
            replica = Replica(Engine(self.setting.speed), 0.0)
            self.replicas.append(replica)
            self._ready(replica)
        self._at(0.0, self._tick)
        self._at(0.0, self._note)
        for request in trace:
            if self.impatient:
                break
            self._until(request.at)
            self._arrive(request)
        self._until(seconds)
        while self.open and not self.impatient and self.now < seconds + PATIENCE_SECONDS:
            self._one()
        return self._played(begin, seconds)

    @property
    def impatient(self) -> bool:
        """Whether more requests were late than anybody wants to see."""
        return self.patience is not None and self.late > self.patience.most_late

    def reading(self) -> Reading:
        """Return what the gateways and engines tell now."""
        serving = [replica for replica in self.replicas if replica.ready]
        ready = [replica for replica in serving if not replica.leaving]
        shares = [r.engine.cached / self.setting.speed.cache_tokens for r in ready]
        while self.firsts and self.firsts[0][0] < self.now - TTFT_SECONDS:
            self.firsts.popleft()
        waits = sorted(wait for _, wait in self.firsts)
        return Reading(
            at=self.now,
            replicas=sum(not replica.leaving for replica in self.replicas),
            ready=len(ready),
            in_flight=self.open,
            held=len(self.held),
            waiting=sum(len(replica.engine.waiting) for replica in serving),
            running=sum(replica.engine.running for replica in serving),
            kv_cache_percent=100 * min(sum(shares) / len(shares), 1) if shares else None,
            ttft_milliseconds=1000 * waits[len(waits) * 9 // 10] if waits else None,
            arrivals=len(self.jobs),
        )

    def _at(self, at: float, what: Callable[[], None]) -> None:
        heapq.heappush(self.events, (at, next(self.numbers), what))

    def _until(self, at: float) -> None:
        while self.events[0][0] <= at and not self.impatient:
            self._one()
        self.now = max(self.now, at)

    def _one(self) -> None:
        self.now, _, what = heapq.heappop(self.events)
        what()

    def _arrive(self, request: Request) -> None:
        job = Job(request)
        self.jobs.append(job)
        self.open += 1
        self._route(job)

    def _route(self, job: Job) -> None:
        ready = [replica for replica in self.replicas if replica.ready and not replica.leaving]
        if not ready:
            self.held.append(job)
            return
        some = self.chance.sample(ready, min(self.setting.choices, len(ready)))
        replica = min(some, key=lambda found: found.engine.in_flight)
        before = replica.engine.due
        replica.engine.add(job, self.now)
        if replica.engine.due != before:
            self._expect(replica)

    def _expect(self, replica: Replica) -> None:
        due = replica.engine.due
        if due is not None:
            self._at(due, lambda: self._advance(replica, due))

    def _advance(self, replica: Replica, due: float) -> None:
        engine = replica.engine
        if replica.gone is not None or engine.due != due:
            return
        read = [job for job, _ in engine.stride.read] if engine.stride else []
        done = engine.advance()
        self.open -= len(done)
        self.firsts.extend((due, due - job.request.at) for job in read if job.first == due)
        if self.patience:
            self.late += sum(job.first == due and self._late(job) for job in read)
        if replica.leaving and not engine.in_flight:
            self._gone(replica)
        self._expect(replica)

    def _late(self, job: Job) -> bool:
        """Whether a judged request was late or cut."""
        assert self.patience  # noqa: S101  asked with patience only
        return job.request.at >= self.begin and not job.met(self.patience.ttft_seconds)

    def _ready(self, replica: Replica) -> None:
        if replica.gone is not None:
            return
        replica.ready = True
        for _ in range(len(self.held)):
            self._route(self.held.popleft())

    def _tick(self) -> None:
        known = Reading(self.now) if self.scaler.blind else self.reading()
        self._scale(self.scaler.wanted(known))
        self._at(self.now + self.scaler.every, self._tick)

    def _scale(self, wanted: int) -> None:
        staying = [replica for replica in self.replicas if not replica.leaving]
        for _ in range(wanted - len(staying)):
            replica = Replica(Engine(self.setting.speed), self.now)
            self.replicas.append(replica)
            self._at(self.now + self.setting.cold_start_seconds, self._becomes_ready(replica))
        youngest = sorted(staying, key=lambda replica: (replica.ready, -replica.since))
        for replica in youngest[: max(len(staying) - wanted, 0)]:
            self._leave(replica)

    def _becomes_ready(self, replica: Replica) -> Callable[[], None]:
        return lambda: self._ready(replica)

    def _leave(self, replica: Replica) -> None:
        replica.leaving = True
        if replica.engine.in_flight == 0:
            self._gone(replica)
        else:
            self._at(self.now + self.setting.drain_seconds, lambda: self._cut(replica))

    def _cut(self, replica: Replica) -> None:
        """End a replica that did not finish in time, as the kubelet does."""
        if replica.gone is not None:
            return
        for job in replica.engine.drop():
            job.cut, job.end = True, self.now
            self.open -= 1
        self._gone(replica)

    def _gone(self, replica: Replica) -> None:
        replica.gone = self.now
        self.replicas.remove(replica)
        self.past.append(replica)

    def _note(self) -> None:
        ready = sum(replica.ready and not replica.leaving for replica in self.replicas)
        waiting = len(self.held) + sum(len(replica.engine.waiting) for replica in self.replicas)
        self.moments.append(Moment(self.now, len(self.replicas), ready, self.open, waiting))
        self._at(self.now + 1.0, self._note)

    def _played(self, begin: float, seconds: float) -> Played:
        lives = [(r.since, self.now if r.gone is None else r.gone) for r in self.past]
        lives += [(r.since, max(self.now, seconds)) for r in self.replicas]
        return Played(begin, seconds, tuple(self.jobs), tuple(sorted(lives)), tuple(self.moments))
