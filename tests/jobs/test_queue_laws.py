"""Whatever workers, callers and Redis do: each job is done once and billed once."""

import asyncio
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff, NoBackoff

from gateway.redisd import server
from jobs.conftest import DURABLE
from jobs.test_queue import MODEL, RESULT, TERMS, lose, order
from modelops.jobs.job import MOST_FAILURES, Job, Problem, State
from modelops.jobs.names import LANES, USAGE, dead, stream
from modelops.jobs.streams import Streams

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""A file there outlives Redis' process, which is all that is killed here, and costs no disk."""

TENANTS = st.sampled_from(["a", "b"])


class Life(RuleBasedStateMachine):
    """A queue beside what must be true of it."""

    taken = Bundle("taken")
    known = Bundle("known")

    def __init__(self) -> None:
        """Start a Redis with nothing in it."""
        super().__init__()
        self.stack = ExitStack()
        folder = self.stack.enter_context(tempfile.TemporaryDirectory(dir=MEMORY))
        self.server = self.stack.enter_context(server(Path(folder), *DURABLE))
        self.runner = self.stack.enter_context(asyncio.Runner())
        self.redis = Redis.from_url(self.server.url, retry=Retry(ConstantBackoff(0.05), 100))
        self.once = Redis.from_url(self.server.url, retry=Retry(NoBackoff(), 0))
        self.queue = Streams(self.once, TERMS, patient=True)
        self.states: dict[str, State] = {}
        self.failures: dict[str, int] = {}
        self.attempts: dict[str, int] = {}
        self.letters: set[str] = set()

    def do(self, work: Any) -> Any:
        """Run something to its end."""
        return self.runner.run(work)

    @initialize()
    def begin(self) -> None:
        """Nothing is there."""
        assert self.do(self.queue.take(MODEL, "w", 0)) is None

    @rule(target=known, tenant=TENANTS, lane=st.sampled_from(LANES), seconds=st.integers(1, 9))
    def submit(self, tenant: str, lane: str, seconds: int) -> str:
        """A caller asks for something, and again since no answer came."""
        asked = order(tenant, lane=lane, seconds=seconds)
        assert self.do(self.queue.submit(asked)).new
        assert not self.do(self.queue.submit(asked)).new
        self.states[asked.id] = State.QUEUED
        self.failures[asked.id] = self.attempts[asked.id] = 0
        return asked.id

    @rule(target=taken, consumer=st.sampled_from(["w", "v"]))
    @precondition(lambda self: State.QUEUED in self.states.values())
    def take(self, consumer: str) -> Job:
        """A worker is given what waits."""
        job: Job = self.do(self.queue.take(MODEL, consumer, 0))
        assert self.states[job.order.id] is State.QUEUED
        self.states[job.order.id] = State.RUNNING
        self.attempts[job.order.id] += 1
        assert job.attempt == self.attempts[job.order.id]
        return job

    def holds(self, job: Job) -> bool:
        """Tell whether this attempt is the one that counts."""
        id_ = job.order.id
        return self.states[id_] is State.RUNNING and self.attempts[id_] == job.attempt

    @rule(job=taken, stage=st.sampled_from(["", "denoise"]))
    def beat(self, job: Job, stage: str) -> None:
        """A worker says that it lives, or how far it is."""
        assert self.do(self.queue.progress(job, "w", stage, 50)) == self.holds(job)

    @rule(job=taken)
    def finish(self, job: Job) -> None:
        """A worker is done, twice."""
        id_ = job.order.id
        again = self.states[id_] is State.SUCCEEDED and self.attempts[id_] == job.attempt
        held = self.holds(job)
        assert self.do(self.queue.finish(job, RESULT)) == (held or again)
        if held:
            self.states[id_] = State.SUCCEEDED
            assert self.do(self.queue.finish(job, RESULT))

    @rule(job=taken, retriable=st.booleans())
    def fail(self, job: Job, *, retriable: bool) -> None:
        """An attempt goes wrong."""
        held = self.holds(job)
        state = self.do(self.queue.fail(job, Problem("internal", "no", retriable)))
        assert state == (self.after_failure(job, retriable=retriable) if held else None)

    def after_failure(self, job: Job, *, retriable: bool) -> State:
        """Note what becomes of a job whose attempt went wrong."""
        id_ = job.order.id
        self.failures[id_] += 1
        again = retriable and self.failures[id_] < MOST_FAILURES
        self.states[id_] = State.QUEUED if again else State.FAILED
        if retriable and not again:
            self.letters.add(id_)
        return self.states[id_]

    @rule(job=consumes(taken))
    def die(self, job: Job) -> None:
        """A worker goes away, and says nothing for longer than a lease."""
        if self.holds(job):
            self.do(lose(self.redis, job))
            self.do(self.queue.sweep())
            self.after_failure(job, retriable=True)

    @rule(job=taken)
    def release(self, job: Job) -> None:
        """A worker that must go gives back what it has."""
        held = self.holds(job)
        assert self.do(self.queue.release(job)) == held
        if held:
            self.states[job.order.id] = State.QUEUED

    @rule(id_=known)
    def cancel(self, id_: str) -> None:
        """A caller wants it no more."""
        if not self.states[id_].ended:
            self.states[id_] = State.CANCELLED
        assert self.do(self.queue.cancel(id_)) is self.states[id_]

    @rule()
    def restart(self) -> None:
        """Redis is killed and comes back."""
        self.server.stop()
        self.server.start()

    @invariant()
    def all_is_known(self) -> None:
        """Each job is what it must be; streams say how many wait and run; bills are as many."""
        self.do(self.look())

    async def look(self) -> None:
        """Compare."""
        for id_, state in self.states.items():
            job = await Streams(self.redis).get(id_)
            assert job
            assert (job.state, job.failures) == (state, self.failures[id_])
        bills = [entry[b"id"].decode() for _, entry in await self.redis.xrange(USAGE)]
        done = [id_ for id_, state in self.states.items() if state is State.SUCCEEDED]
        assert sorted(bills) == sorted(done)
        letters = {entry[b"id"].decode() for _, entry in await self.redis.xrange(dead(MODEL))}
        assert letters == self.letters
        await self.count()

    async def count(self) -> None:
        """Compare what scaling looks at; of a group that it reads anew Redis may tell no lag."""
        states = list(self.states.values())
        wait, run = states.count(State.QUEUED), states.count(State.RUNNING)
        told = (await Streams(self.redis, TERMS).stats(MODEL)).lanes.values()
        assert sum(lane.waiting + lane.delayed for lane in told) == wait
        assert sum(lane.running for lane in told) == run
        groups = [
            group
            for lane in LANES
            if await self.redis.exists(stream(MODEL, lane))
            for group in await self.redis.xinfo_groups(stream(MODEL, lane))
        ]
        assert sum(group["pending"] for group in groups) == run
        lags = [group["lag"] for group in groups]
        assert None in lags or sum(lags) == wait

    def teardown(self) -> None:
        """All that waits can be done."""
        try:
            for _ in range(list(self.states.values()).count(State.QUEUED)):
                self.finish(self.take("w"))
            self.all_is_known()
        finally:
            self.do(self.redis.aclose())
            self.do(self.once.aclose())
            self.stack.close()


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=15,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
