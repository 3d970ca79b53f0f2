"""What the job API offers, for the OpenAPI document (pure)."""

from typing import Any, Final

from modelops.gateway.typed import Json
from modelops.jobs.job import State


def _url(description: str, longest: int) -> Json:
    return {
        "type": "string",
        "maxLength": longest,
        "pattern": "^https?://",
        "description": description,
    }


FIELDS: Final[Json] = {
    "prompt": {"type": "string", "maxLength": 32_000},
    "n": {"type": "integer", "minimum": 1, "maximum": 10, "default": 1},
    "size": {"type": "string", "maxLength": 16, "description": "WIDTHxHEIGHT, or auto."},
    "response_format": {"enum": ["url", "b64_json"], "default": "url"},
    "negative_prompt": {"type": "string", "maxLength": 32_000},
    "steps": {"type": "integer", "minimum": 1, "maximum": 500},
    "guidance": {"type": "number", "minimum": 0, "maximum": 100},
    "strength": {"type": "number", "minimum": 0, "maximum": 1},
    "seed": {"type": "integer", "minimum": 0, "description": "The same makes the same image."},
    "scheduler": {"type": "string", "maxLength": 64, "pattern": "^[A-Za-z0-9_-]+$"},
    "loras": {
        "type": "array",
        "maxItems": 8,
        "description": "Adapters, by name, and how much of each.",
        "items": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": {
                "name": {"type": "string", "minLength": 1, "maxLength": 255},
                "weight": {"type": "number", "minimum": -4, "maximum": 4, "default": 1},
            },
        },
    },
    "image_url": _url("A picture to begin with.", 8192),
    "mask_url": _url("What of it may change.", 8192),
    "control_url": _url("What the image shall follow.", 8192),
    "control_net": {
        "type": "string",
        "minLength": 1,
        "maxLength": 253,
        "description": "Which of the model's ControlNets reads it, where there are several.",
    },
    "control_scale": {"type": "number", "minimum": 0, "maximum": 2, "default": 1},
    "reference_url": _url("A picture whose look the image shall have (IP-Adapter).", 8192),
    "reference_scale": {"type": "number", "minimum": 0, "maximum": 1, "default": 0.6},
    "webhook": _url("Is told when the job has ended, signed.", 2048),
}
"""What a request for images may say beside `model`."""

_TEXT: Final[Json] = {"type": ["string", "null"]}
_NUMBER: Final[Json] = {"type": ["number", "null"]}
_WHOLE: Final[Json] = {"type": ["integer", "null"]}


def schemas() -> dict[str, Json]:
    """Return the schemas of a job, of a list of them, and of images."""
    image = {"url": {"type": "string"}, "b64_json": {"type": "string"}, "seed": {"type": "integer"}}
    data = {"type": "array", "items": {"type": "object", "properties": image}}
    job = _object(
        id={"type": "string"},
        object={"const": "job"},
        model={"type": "string"},
        operation={"type": "string"},
        status={"enum": [state.value for state in State]},
        stage=_TEXT,
        percent={"type": "integer", "minimum": 0, "maximum": 100},
        attempts={"type": "integer", "minimum": 0},
        created_at={"type": "integer"},
        started_at=_WHOLE,
        ended_at=_WHOLE,
        jobs_before=_WHOLE | {"description": "How many jobs come before it, as it seems now."},
        eta_seconds=_NUMBER | {"description": "When it begins, as it seems now."},
        error={"type": ["object", "null"]},
        result={"type": ["object", "null"]},
    )
    jobs = {"type": "array", "items": {"$ref": "#/components/schemas/Job"}}
    return {
        "Job": job,
        "Jobs": _object(object={"const": "list"}, data=jobs, has_more={"type": "boolean"}),
        "Images": _object(created={"type": "integer"}, data=data, job={"type": "string"}),
    }


def accepted() -> Json:
    """Return the answer of a job that takes longer than its caller waits."""
    return {
        "description": "It is being made. `Location` is where to follow it.",
        "content": _content("Job"),
    }


def paths(refused: Json) -> dict[str, Json]:
    """Return the paths of jobs; ``refused`` are the answers that each may have."""
    one: Json = {
        "name": "job",
        "in": "path",
        "required": True,
        "schema": {"type": "string", "minLength": 1},
    }
    limit = {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    query = [
        {"name": "limit", "in": "query", "schema": limit},
        {"name": "after", "in": "query", "schema": {"type": "string"}},
    ]
    said = {"parameters": [one]}
    told = {"text/event-stream": {"schema": {"type": "string"}}}
    plain = {"application/json": {"schema": {"type": "object"}}}

    def offer(name: str, summary: str, content: Json, **more: Any) -> Json:
        answer = {"description": summary + ".", "content": content}
        return {
            "operationId": name,
            "summary": summary,
            **more,
            "responses": {"200": answer, **refused},
        }

    job = _content("Job")
    return {
        "/v1/jobs": {
            "get": offer(
                "listJobs", "List your jobs, latest first", _content("Jobs"), parameters=query
            )
        },
        "/v1/jobs/webhook-secret": {
            "get": offer("webhookSecret", "Tell what your webhooks are signed with", plain)
        },
        "/v1/jobs/{job}": {
            **said,
            "get": offer("retrieveJob", "Tell of a job", job),
            "delete": offer("deleteJob", "Stop a job, and forget it and its files", plain),
        },
        "/v1/jobs/{job}/cancel": {**said, "post": offer("cancelJob", "Stop a job", job)},
        "/v1/jobs/{job}/result": {
            **said,
            "get": offer("retrieveResult", "Give what a job made", _content("Images")),
        },
        "/v1/jobs/{job}/events": {
            **said,
            "get": offer("followJob", "Tell of a job until it has ended, as events", told),
        },
    }


def _content(schema: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _object(**fields: Json) -> Json:
    return {"type": "object", "required": list(fields), "properties": fields}
