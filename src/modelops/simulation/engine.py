"""An engine with continuous batching, as a roofline.

A step reads all weights and the KV cache of every running sequence, makes one token for each, and
works on prompts with what is left of its budget of tokens. A request is taken in when the cache
has room for all of it, in the order of arrival; real engines take it in sooner, and now and then
throw one out again.
"""

import heapq
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from modelops.simulation.speed import Speed
from modelops.simulation.trace import Request

LONGEST_STRIDE: Final = 32
"""So many steps without a prompt are simulated at once."""


@dataclass(slots=True, eq=False)
class Job:
    """A request on its way; times are in seconds since the trace began."""

    request: Request
    first: float | None = None
    end: float | None = None
    cut: bool = False

    @property
    def size(self) -> int:
        """All of its tokens."""
        return self.request.prompt + self.request.answer

    def met(self, ttft_seconds: float) -> bool:
        """Say whether its first token came in time and it was not cut."""
        in_time = self.first is not None and self.first - self.request.at <= ttft_seconds
        return in_time and not self.cut


@dataclass(slots=True)
class Stride:
    """Steps that are alike: when they began, how long each takes, how many."""

    began: float
    each: float
    steps: int
    read: list[tuple[Job, int]]

    @property
    def end(self) -> float:
        """When the last of them ends."""
        return self.began + self.each * self.steps


@dataclass(slots=True, eq=False)
class Engine:
    """What one replica has to do; whoever adds a job calls ``advance`` at the time ``due``."""

    speed: Speed
    waiting: deque[Job] = field(default_factory=deque)
    reading: dict[Job, int] = field(default_factory=dict)
    writing: list[tuple[int, int, Job]] = field(default_factory=list)
    cached: float = 0.0
    reserved: int = 0
    step: int = 0
    taken: int = 0
    stride: Stride | None = None

    @property
    def running(self) -> int:
        """How many requests it works on."""
        return len(self.reading) + len(self.writing)

    @property
    def in_flight(self) -> int:
        """How many requests it has."""
        return self.running + len(self.waiting)

    @property
    def due(self) -> float | None:
        """When the stride ends; None when it has nothing to do."""
        return None if self.stride is None else self.stride.end

    def add(self, job: Job, now: float) -> None:
        """Take a request; a long stride ends with the step that it is in."""
        self.waiting.append(job)
        if self.stride is None:
            self.stride = self._next(now)
        elif self.stride.steps > 1 and self._fits(self.waiting[0]):
            passed = int((now - self.stride.began) / self.stride.each) + 1
            self.stride.steps = min(self.stride.steps, passed)

    def advance(self) -> list[Job]:
        """End the stride and begin the next one; return the jobs that are done."""
        if self.stride is None:
            return []
        stride, now = self.stride, self.stride.end
        self.step += stride.steps
        self.cached += len(self.writing) * stride.steps
        done = self._written(now)
        for job, tokens in stride.read:
            done += self._read(job, tokens, now)
        self.stride = self._next(now)
        return done

    def drop(self) -> list[Job]:
        """End; return the jobs that were not done."""
        jobs = [*self.waiting, *self.reading, *(job for _, _, job in self.writing)]
        self.waiting.clear()
        self.reading.clear()
        self.writing.clear()
        self.stride = None
        return jobs

    def _written(self, now: float) -> list[Job]:
        done = []
        while self.writing and self.writing[0][0] <= self.step:
            done.append(self._done(heapq.heappop(self.writing)[2], now))
        return done

    def _read(self, job: Job, tokens: int, now: float) -> list[Job]:
        self.cached += tokens
        self.reading[job] -= tokens
        if self.reading[job]:
            return []
        del self.reading[job]
        job.first = now
        if job.request.answer == 1:
            return [self._done(job, now)]
        self.taken += 1
        heapq.heappush(self.writing, (self.step + job.request.answer - 1, self.taken, job))
        return []

    def _done(self, job: Job, now: float) -> Job:
        job.end = now
        self.cached -= job.size - 1
        self.reserved -= job.size
        return job

    def _fits(self, job: Job) -> bool:
        room = self.reserved + job.size <= self.speed.cache_tokens or not self.running
        return room and self.running < self.speed.most_sequences

    def _next(self, now: float) -> Stride | None:
        read = self._prompts()
        if not self.running:
            return None
        tokens = sum(part for _, part in read)
        each = self.speed.step_seconds + self.cached * self.speed.cached_token_seconds
        each += tokens * self.speed.prompt_token_seconds
        steps = 1 if read else min(self.writing[0][0] - self.step, LONGEST_STRIDE)
        return Stride(now, each, steps, read)

    def _prompts(self) -> list[tuple[Job, int]]:
        """Return the parts of prompts that the next step reads; take in what fits."""
        left = max(self.speed.step_tokens - len(self.writing), 1)
        read = []
        for job, rest in self.reading.items():
            part = min(rest, left)
            left -= part
            read.append((job, part))
        while left and self.waiting and self._fits(self.waiting[0]):
            job = self.waiting.popleft()
            part = min(job.request.prompt, left)
            left -= part
            self.reading[job] = job.request.prompt
            self.reserved += job.size
            read.append((job, part))
        return read
