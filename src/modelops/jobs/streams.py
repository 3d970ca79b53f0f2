"""The queue in Redis Streams: one a model and priority, a script for each change."""

import asyncio
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Away
from redis.exceptions import ReadOnlyError
from redis.exceptions import TimeoutError as Late

from modelops.jobs import names, record
from modelops.jobs.engine import Limits
from modelops.jobs.job import Job, Order, Problem, Result, State
from modelops.jobs.queue import (
    Backlog,
    Conflict,
    Lane,
    Letter,
    Place,
    Refused,
    Stats,
    Submitted,
    Terms,
)

SCRIPT: Final = (files("modelops.jobs") / "queue.lua").read_text()
LONGEST_SLEEP: Final = 1.0
"""A worker that was not woken looks by itself after so many seconds."""

DESCRIBED: Final = 3
"""So many leases is it known what an engine takes."""

AT_ONCE: Final = 50
"""Of so many models Redis is asked in one go: nobody else is served meanwhile."""

GONE: Final = (Away, Late, ReadOnlyError, OSError)
"""What a call raises while Redis does not answer."""


def identity() -> str:
    """Return a new job's id; later ones are greater."""
    return f"job_{time.time_ns():016x}{secrets.token_hex(8)}"


class Streams:
    """Jobs in one Redis."""

    def __init__(self, redis: Redis, terms: Terms = Terms(), *, patient: bool = False) -> None:  # noqa: B008  frozen
        """Take a client; ``patient`` asks again until Redis is back, as workers must."""
        self._redis: Any = redis  # its types fit no answer
        self._terms = terms
        self._patient = patient
        self._script = redis.register_script(SCRIPT)

    async def submit(self, order: Order, *, once: str = "", alike: str = "") -> Submitted:
        """Add a job."""
        terms = self._terms
        word, told = await self._call(
            "submit", order.id, order.model, order.lane, order.tenant, order.seconds,
            record.ORDER.dump_json(order), order.webhook or "", once, alike,
            terms.quota, terms.longest, _ms(terms.lease), _ms(terms.kept),
        )  # fmt: skip
        answer, said = word.decode(), told.decode()
        if answer == "conflict":
            raise Conflict(said)
        if answer in {"quota", "busy"}:
            raise Refused(answer, max(1.0, float(said)))
        return Submitted(said, answer == "new")

    async def take(self, model: str, consumer: str, patience: float) -> Job | None:
        """Return the next job of a model."""
        end = time.monotonic() + patience
        while True:
            word = secrets.token_hex(8)
            found, told = await self._call(
                "take", model, consumer, word, _ms(self._terms.lease), *self._failing()
            )
            if found:
                return record.job(dict(zip(told[::2], told[1::2], strict=True)))
            left = end - time.monotonic()
            if left <= 0:
                return None
            due = told / 1000 if told >= 0 else LONGEST_SLEEP
            await self._woken(model, max(0.01, min(left, due, LONGEST_SLEEP)))

    async def _woken(self, model: str, seconds: float) -> None:
        """Wait for a word that there is something to take."""
        try:
            await self._redis.blpop([f"jobs:{{{model}}}:wake"], seconds)
        except GONE:
            if not self._patient:
                raise
            await asyncio.sleep(min(seconds, LONGEST_SLEEP))

    async def beat(self, job: Job, consumer: str) -> bool:
        """Say that the job is still worked on."""
        return await self.progress(job, consumer, "", 0)

    async def progress(
        self, job: Job, consumer: str, stage: str, percent: int, resume: str = ""
    ) -> bool:
        """Say how far it is."""
        told = (job.order.id, job.attempt, consumer, stage, percent, resume)
        return bool(await self._call("beat", *told))

    async def finish(self, job: Job, result: Result) -> bool:
        """Say what it made."""
        made = record.RESULT.dump_json(result)
        told = (job.order.id, job.attempt, made, result.seconds, _ms(self._terms.kept))
        return bool(await self._call("finish", *told))

    async def fail(self, job: Job, problem: Problem) -> State | None:
        """Say that an attempt went wrong."""
        said = record.PROBLEM.dump_json(problem)
        told = (job.order.id, job.attempt, said, int(problem.retriable))
        return _state(await self._call("fail", *told, *self._failing()))

    async def release(self, job: Job) -> bool:
        """Give it back unharmed."""
        return bool(await self._call("release", job.order.id, job.attempt))

    async def cancel(self, id_: str) -> State | None:
        """Let nobody work on it any more."""
        return _state(await self._call("cancel", id_, _ms(self._terms.kept)))

    async def delete(self, id_: str) -> bool:
        """Forget a job that has ended."""
        return bool(await self._call("delete", id_))

    async def retry(self, id_: str) -> bool:
        """Begin a job again that failed, and take its dead letter away; False if it has not."""
        return bool(await self._call("retry", id_))

    async def dead(self, model: str, count: int) -> Sequence[Letter]:
        """Return the dead letters of a model, latest first."""
        ask = self._redis.xrevrange
        found = await self._insist(lambda: ask(names.dead(model), count=count))
        return [record.letter(fields) for _, fields in found]

    async def get(self, id_: str) -> Job | None:
        """Return a job."""
        found: dict[bytes, bytes] = await self._redis.hgetall(f"jobs:job:{id_}")
        return record.job(found) if found else None

    async def list(self, tenant: str, after: str, count: int) -> Sequence[Job]:
        """Return a tenant's jobs, latest first; those that were forgotten are left out."""
        key, begin = f"jobs:tenant:{tenant}", 0
        await self._redis.zremrangebyscore(key, "-inf", await self._forgotten(tenant))
        if after:
            rank = await self._redis.zrevrank(key, after)
            begin = 0 if rank is None else int(rank) + 1
        jobs: list[Job] = []
        while len(jobs) < count:
            ids = await self._redis.zrevrange(key, begin, begin + count - 1)
            found = [await self.get(id_.decode()) for id_ in ids]
            jobs += [job for job in found if job]
            begin += len(ids)
            if len(ids) < count:
                break
        return jobs[:count]

    async def _forgotten(self, tenant: str) -> str:
        """Return what the creation of a job that can be forgotten is before, in milliseconds.

        A job that is open may be as old as it wants, and what it ended after is not known: only
        what is older than all open ones, and than twice the time that ended ones are kept, goes.
        """
        now = time.time() * 1000 - 2 * _ms(self._terms.kept)
        oldest = await self._redis.zrange(f"jobs:open:{tenant}", 0, 0, withscores=True)
        return f"({min(now, oldest[0][1] if oldest else math.inf):.0f}"

    async def place(self, id_: str) -> Place | None:
        """Return where a job stands."""
        before, seconds = await self._call("place", id_, _ms(self._terms.lease))
        return Place(before, float(seconds)) if before >= 0 else None

    async def describe(self, model: str, limits: Limits) -> None:
        """Say what a model's engine takes."""
        said, kept = record.LIMITS.dump_json(limits), _ms(DESCRIBED * self._terms.lease)
        await self._insist(lambda: self._redis.set(_limits(model), said, px=kept))

    async def limits(self, model: str) -> Limits:
        """Return what a model's engine takes."""
        found = await self._insist(lambda: self._redis.get(_limits(model)))
        return record.LIMITS.validate_json(found) if found else Limits()

    async def stats(self, model: str) -> Stats:
        """Return what there is of a model."""
        workers, dead, *told = await self._call("stats", model, _ms(self._terms.lease))
        rows = zip(names.LANES, told[::4], told[1::4], told[2::4], told[3::4], strict=True)
        lanes = {lane: Lane(w, d, r, age / 1000) for lane, w, d, r, age in rows}
        return Stats(workers, dead, lanes)

    async def backlogs(self, models: Sequence[str]) -> Sequence[Backlog]:
        """Return what each of some models has to do."""
        found: list[Backlog] = []
        for begin in range(0, len(models), AT_ONCE):
            told = await self._call("backlogs", *models[begin : begin + AT_ONCE])
            found += [_backlog(*each) for each in told]
        return found

    async def sweep(self) -> None:
        """Let no job wait for a worker that went away, also where nobody takes any."""
        for model in await self.models():
            await self._call("sweep", model, _ms(self._terms.lease), *self._failing())

    async def models(self) -> Sequence[str]:
        """Return the models that had a job."""
        found = await self._insist(lambda: self._redis.smembers("jobs:models"))
        return sorted(model.decode() for model in found)

    async def due(self, lease: float, count: int) -> Sequence[str]:
        """Return ids of ended jobs whose callers want to be told now; they are lent for a while."""
        return [id_.decode() for id_ in await self._call("due", _ms(lease), count)]

    async def told(self, id_: str, pause: float | None) -> None:
        """Say that a caller was told of a job, or is to be told after a pause."""
        await self._call("told", id_, -1 if pause is None else _ms(pause))

    async def tellings(self, id_: str) -> int:
        """Return how often telling was put off."""
        return int(await self._redis.hget(f"jobs:job:{id_}", "told") or 0)

    def _failing(self) -> tuple[int, int, int]:
        terms = self._terms
        return terms.failures, _ms(terms.pause), _ms(terms.kept)

    async def _call(self, operation: str, *told: Any) -> Any:
        return await self._insist(lambda: self._script(keys=[operation], args=told))

    async def _insist(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        while True:
            try:
                return await ask()
            except GONE:
                if not self._patient:
                    raise
            await asyncio.sleep(0.05 + secrets.randbelow(200) / 1000)


def _limits(model: str) -> str:
    return f"jobs:{{{model}}}:limits"


def _ms(seconds: float) -> int:
    return math.ceil(seconds * 1000)


def _backlog(
    waiting: int, running: int, submitted: int, seconds: bytes, busy: Sequence[bytes]
) -> Backlog:
    names = frozenset(name.decode() for name in busy)
    return Backlog(waiting, running, submitted, float(seconds), names)


def _state(said: bytes) -> State | None:
    return State(said.decode()) if said else None
