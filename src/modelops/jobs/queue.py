"""What a queue of jobs does, whatever holds it (pure)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from modelops.jobs.engine import Limits
from modelops.jobs.job import Job, Order, Problem, Result, State


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for all jobs. Times are seconds; 0 is no limit for ``quota`` and ``longest``.

    ``lease`` is how long a worker may be silent, ``pause`` what the first retry waits (each next
    four times as long), ``kept`` how long an ended job is remembered. ``quota`` is how many
    unfinished jobs a tenant may have, ``longest`` the longest wait that is promised.
    """

    lease: float = 15.0
    failures: int = 3
    pause: float = 1.0
    kept: float = 86_400.0
    quota: int = 0
    longest: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """How many jobs are before one that waits, and the seconds until it begins, as it seems."""

    before: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Lane:
    """What there is of one priority: jobs that wait, that wait for a retry, that run."""

    waiting: int
    delayed: int
    running: int
    oldest_seconds: float


@dataclass(frozen=True, slots=True)
class Stats:
    """What there is of one model; ``dead`` are the jobs that were given up."""

    workers: int
    dead: int
    lanes: dict[str, Lane]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a model has to do: jobs that wait, for a retry too, and jobs that run.

    ``submitted`` are all jobs so far. ``seconds`` is the work that is left, as long as one job
    after the other takes at the pace that was learnt. ``busy`` are the workers that have a job.
    """

    waiting: int
    running: int
    submitted: int
    seconds: float
    busy: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Submitted:
    """The id of the job that does what was asked for; not ``new`` if it was asked before."""

    id: str
    new: bool


@dataclass(frozen=True, slots=True)
class Letter:
    """A job that was given up after so many attempts, and what went wrong in the last."""

    id: str
    tenant: str
    attempt: int
    problem: Problem


class Refused(Exception):
    """A job is not taken: of the tenant there are too many (`quota`), or of all (`busy`)."""

    def __init__(self, why: str, seconds: float) -> None:
        """Say why, and after how many seconds it may go better."""
        super().__init__(why)
        self.why, self.seconds = why, seconds


class Conflict(Exception):
    """The idempotency key was used for another request, whose job has this id."""


class Queue(Protocol):
    """At least once, and told once: only the last attempt at a job may say what came of it.

    All but `take` may be called again when no answer came. What is not so is told by False.
    """

    async def submit(self, order: Order, *, once: str = "", alike: str = "") -> Submitted:
        """Add a job; the same again for the same id, or for the same word ``once`` of a tenant.

        ``alike`` stands for what is asked for. Raises Refused, Conflict.
        """
        ...

    async def take(self, model: str, consumer: str, patience: float) -> Job | None:
        """Return the next job of a model, now the consumer's; None if none came in time."""
        ...

    async def beat(self, job: Job, consumer: str) -> bool:
        """Say that the job is still worked on; False when it is somebody else's, or ended."""
        ...

    async def progress(
        self, job: Job, consumer: str, stage: str, percent: int, resume: str = ""
    ) -> bool:
        """Say how far it is, and which stage was finished last; a beat, too."""
        ...

    async def finish(self, job: Job, result: Result) -> bool:
        """Say what it made, and bill it: once, however often it is said."""
        ...

    async def fail(self, job: Job, problem: Problem) -> State | None:
        """Say that an attempt went wrong; return what the job is now, None if not this one's."""
        ...

    async def release(self, job: Job) -> bool:
        """Give it back unharmed, to be the next."""
        ...

    async def cancel(self, id_: str) -> State | None:
        """Let nobody work on it any more; return what it is now, None if it is unknown."""
        ...

    async def delete(self, id_: str) -> bool:
        """Forget a job that has ended."""
        ...

    async def get(self, id_: str) -> Job | None:
        """Return a job."""
        ...

    async def list(self, tenant: str, after: str, count: int) -> Sequence[Job]:
        """Return a tenant's jobs, latest first, from the one after an id on."""
        ...

    async def place(self, id_: str) -> Place | None:
        """Return where a job stands; None if it does not wait."""
        ...

    async def describe(self, model: str, limits: Limits) -> None:
        """Say what a model's engine takes; it is forgotten when it is not said again."""
        ...

    async def limits(self, model: str) -> Limits:
        """Return what a model's engine takes, as far as one that lives has said."""
        ...

    async def stats(self, model: str) -> Stats:
        """Return what there is of a model."""
        ...

    async def backlogs(self, models: Sequence[str]) -> Sequence[Backlog]:
        """Return what each of some models has to do."""
        ...
