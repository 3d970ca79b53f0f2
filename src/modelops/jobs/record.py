"""Jobs as Redis keeps them, and back (pure)."""

from collections.abc import Mapping
from typing import Final

from pydantic import TypeAdapter

from modelops.jobs.engine import Limits
from modelops.jobs.job import Job, Order, Problem, Result, State
from modelops.jobs.queue import Letter

ORDER: Final = TypeAdapter(Order)
RESULT: Final = TypeAdapter(Result)
PROBLEM: Final = TypeAdapter(Problem)
LIMITS: Final = TypeAdapter(Limits)


def job(fields: Mapping[bytes, bytes]) -> Job:
    """Return the job that a hash holds."""

    def text(name: str) -> str:
        return fields.get(name.encode(), b"").decode()

    def whole(name: str) -> int:
        return int(text(name) or 0)

    return Job(
        order=ORDER.validate_json(text("order")),
        state=State(text("state")),
        stage=text("stage"),
        percent=whole("percent"),
        attempt=whole("attempt"),
        failures=whole("failures"),
        resume=text("resume"),
        created=whole("created") / 1000,
        started=whole("started") / 1000,
        ended=whole("ended") / 1000,
        result=RESULT.validate_json(text("result")) if text("result") else None,
        problem=PROBLEM.validate_json(text("problem")) if text("problem") else None,
    )


def letter(fields: Mapping[bytes, bytes]) -> Letter:
    """Return the dead letter that an entry of the stream is."""
    return Letter(
        id=fields[b"id"].decode(),
        tenant=fields[b"tenant"].decode(),
        attempt=int(fields[b"attempt"]),
        problem=PROBLEM.validate_json(fields[b"problem"]),
    )
