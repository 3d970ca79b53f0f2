"""What the job API says, in OpenAI's shapes (pure)."""

from collections.abc import Callable
from typing import Any, Final

from modelops.gateway.answers import CALLER, SERVER, Refusal
from modelops.gateway.typed import Json
from modelops.jobs.job import Code, Job, Made, State
from modelops.jobs.queue import Place

OFF: Final = Refusal(
    503,
    "This platform has no store for jobs. Whoever runs it sets `jobs.redis` and `jobs.s3` in the "
    "chart's values.",
    SERVER,
    "jobs_not_configured",
)
AWAY: Final = Refusal(
    503, "The queue of jobs does not answer now. Try again soon.", SERVER, "jobs_unavailable", 2
)
STORE_AWAY: Final = Refusal(
    503, "The store of files does not answer now. Try again soon.", SERVER, "store_unavailable", 2
)
UNKNOWN: Final = Refusal(
    404, "The job does not exist, has been forgotten, or is not yours.", code="job_not_found"
)
NO_MODEL: Final = Refusal(
    404, "The model does not exist or makes no images. GET /v1/models lists what there is.",
    code="model_not_found",
)  # fmt: skip
MODEL_OFF: Final = Refusal(503, "The model is turned off.", SERVER, "model_off")
RUNS_STILL: Final = Refusal(
    409, "The job has not ended. Follow it at `/v1/jobs/ID/events`.", code="job_not_ended",
    retry_seconds=2,
)  # fmt: skip
NO_SECRET: Final = Refusal(
    400, "This platform signs no webhooks: set `jobs.webhooks.existingSecret` in its values.",
    CALLER, "webhooks_not_configured",
)  # fmt: skip

_OF_CALLER: Final = {Code.INVALID_INPUT, Code.UNSAFE, Code.INPUT_REFUSED, Code.INPUT_UNREACHABLE}


def wrong(message: str, code: str = "invalid_value") -> Refusal:
    """Return the refusal of a request that says what it may not."""
    return Refusal(400, message, code=code)


def full(why: str, seconds: float) -> Refusal:
    """Return the refusal of a job for which there is no room."""
    whole = max(1, round(seconds))
    if why == "quota":
        said = "You have as many unfinished jobs as you may. Wait until one ends, or cancel one."
        return Refusal(429, said, "requests", "jobs_quota_exceeded", whole)
    said = f"The model has more work than it promises to do in time. Try again in {whole} s."
    return Refusal(429, said, "requests", "model_busy", whole)


def conflict(other: str) -> Refusal:
    """Return the refusal of an idempotency key that stands for another request."""
    said = f"The Idempotency-Key was used for another request, whose job is {other}."
    return Refusal(409, said, code="idempotency_key_reused")


def failure(job: Job) -> Refusal:
    """Return the answer for a job that made nothing."""
    if job.state is State.CANCELLED:
        return Refusal(409, "The job was cancelled.", code="job_cancelled")
    problem = job.problem
    code = problem.code if problem else Code.INTERNAL
    said = problem.message if problem else "The job failed."
    return Refusal(400, said, code=code) if code in _OF_CALLER else Refusal(500, said, SERVER, code)


def error(refusal: Refusal) -> Json:
    """Return a refusal's body."""
    fields = {"message": refusal.message, "type": refusal.type, "code": refusal.code}
    return {"error": {**fields, "param": None}}


def told(job: Job, place: Place | None, url: Callable[[Made], str]) -> Json:
    """Return a job as its caller sees it."""
    order = job.order
    made = [_made(each, url) for each in job.result.files] if job.result else None
    problem = job.problem if job.state is not State.SUCCEEDED else None
    return {
        "id": order.id,
        "object": "job",
        "model": order.asked,
        "operation": order.operation,
        "status": job.state,
        "stage": job.stage or None,
        "percent": job.percent,
        "attempts": job.attempt,
        "created_at": int(job.created),
        "started_at": int(job.started) or None,
        "ended_at": int(job.ended) or None,
        "jobs_before": place.before if place else None,
        "eta_seconds": round(place.seconds, 1) if place else None,
        "error": {"code": problem.code, "message": problem.message} if problem else None,
        "result": {"data": made, "seconds": job.result.seconds} if job.result else None,
    }


def images(job: Job, data: list[Json]) -> Json:
    """Return what a job made, as OpenAI's API of images answers."""
    return {"created": int(job.created), "data": data, "job": job.order.id}


def image(made: Made, **content: str) -> Json:
    """Return one image: where it is, or what it is."""
    said: dict[str, Any] = {**content, "seed": made.seed, "flagged": made.flagged or None}
    return {name: value for name, value in said.items() if value is not None}


def _made(made: Made, url: Callable[[Made], str]) -> Json:
    return {
        **image(made, url=url(made)),
        "content_type": made.content_type,
        "bytes": made.bytes,
        "width": made.width,
        "height": made.height,
    }
