"""A job: what was asked for, by whom, how far it is, and what came of it (pure)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

MOST_FAILURES: Final = 3
"""A job that failed so often is given up."""


class State(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more happens to it."""
        return self not in {State.QUEUED, State.RUNNING}


class Code(StrEnum):
    """Why a job failed."""

    OUT_OF_MEMORY = "out_of_memory"
    INVALID_INPUT = "invalid_input"
    UNSAFE = "unsafe"
    INTERNAL = "internal"
    WORKER_LOST = "worker_lost"
    ENGINE_LOST = "engine_lost"
    STORAGE = "storage_unavailable"
    INPUT_REFUSED = "input_refused"
    INPUT_UNREACHABLE = "input_unreachable"


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong: a code to act on, a sentence, and whether another try may go better."""

    code: str
    message: str
    retriable: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller asked for. ``seconds`` is the work that it is expected to be.

    ``input`` is the engine's; ``files`` are where what it works on comes from, by role: a URL
    for all to see, or an address in the store of jobs (``s3://``). ``answer`` is how the caller
    wants results told: `url` or `b64_json`. ``model`` is NAMESPACE/NAME, ``asked`` the name that
    the caller used for it.
    """

    id: str
    model: str
    tenant: str
    operation: str
    input: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)
    asked: str = ""
    key: str = ""
    lane: str = "normal"
    seconds: float = 1.0
    answer: str = "url"
    webhook: str | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """One file of a result: where it is in the store, and what the engine told of it."""

    place: str
    content_type: str
    bytes: int
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What a job made, and how long the accelerator worked for it."""

    files: tuple[Made, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Job:
    """An order and what has become of it. Times are seconds since 1970, 0 for not yet.

    ``attempt`` grows each time that a worker takes it; only the last one may tell more.
    ``failures`` counts those tries that went wrong. ``resume`` is the last finished stage.
    """

    order: Order
    state: State = State.QUEUED
    stage: str = ""
    percent: int = 0
    attempt: int = 0
    failures: int = 0
    resume: str = ""
    created: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    result: Result | None = None
    problem: Problem | None = None
