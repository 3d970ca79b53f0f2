"""What the gateway offers, as an OpenAPI 3.1 document (pure): the one that it serves."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, get_args

from modelops.gateway import answers, jobdoc
from modelops.gateway.answers import Refusal
from modelops.gateway.module import DOCUMENT_PATH, FORM_PATHS
from modelops.gateway.snapshot import State
from modelops.gateway.typed import Json

LARGEST: Final = 64 * 1024
"""More bytes than the document has; Envoy wants to know."""

_REFUSALS: Final = tuple(r for r in vars(answers).values() if isinstance(r, Refusal))
_NO_BODY: Final = {415, 502, 503, 504}
"""Statuses that only requests to models are answered with."""


RATES: Final = {
    f"x-ratelimit-{what}-{of}": f"{told} {of} per minute, where the caller has such a limit."
    for of in ("requests", "tokens")
    for what, told in (
        ("limit", "The allowed number of"),
        ("remaining", "What is left of the"),
        ("reset", "The time, such as `12s`, until there are all"),
    )
}
"""The headers that tell how a limit stands, as OpenAI names them."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A path that is passed on: what it is for, what its body holds, what comes back."""

    summary: str
    body: str
    answers: tuple[str, ...] = ("application/json",)
    jobs: bool = False
    """Whether it is answered by a job, which may take longer than its caller waits."""
    file: str = "file"
    """The name of a form's file."""


_PLAIN_NAMES: Final = {"propertyNames": {"pattern": r"^[A-Za-z0-9_.\[\]-]{1,64}$"}}
"""What all readers of forms understand in the same way, whatever they make of quotes."""

_JSON_OR_EVENTS: Final = ("application/json", "text/event-stream")
_JSON_OR_TEXT: Final = ("application/json", "text/plain", "text/event-stream")

OFFERS: Final[Mapping[str, Offer]] = {
    "/v1/chat/completions": Offer(
        "Continue a conversation",
        "`messages`; with `stream`, events are answered until `[DONE]`",
        _JSON_OR_EVENTS,
    ),
    "/v1/completions": Offer("Continue a text", "`prompt`", _JSON_OR_EVENTS),
    "/v1/responses": Offer("Answer an input", "`input`", _JSON_OR_EVENTS),
    "/v1/embeddings": Offer("Turn texts into vectors", "`input`"),
    "/v1/rerank": Offer("Sort documents by a query", "`query` and `documents`"),
    "/v1/score": Offer("Compare texts", "`text_1` and `text_2`"),
    "/v1/audio/transcriptions": Offer("Write down speech", "`file`", _JSON_OR_TEXT),
    "/v1/audio/translations": Offer("Write down speech in English", "`file`", _JSON_OR_TEXT),
    "/v1/images/generations": Offer("Make images", "`prompt`", jobs=True),
    "/v1/images/edits": Offer("Change an image", "`image`, `prompt`", jobs=True, file="image"),
    "/v1/images/variations": Offer("Vary an image", "`image`", jobs=True, file="image"),
}


def document() -> Json:
    """Return the document."""
    listed = {
        "/v1/models": {"get": _listing("listModels", "List the models that the key may use")},
        "/v1/models/{model}": {"get": _one_model(), "parameters": [_named_model()]},
        DOCUMENT_PATH: {"get": _self()},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "modelops gateway",
            "version": "1",
            "description": "One OpenAI-compatible endpoint for every model. The gateway itself "
            "looks at the key, the path and `model`; all else is between caller and engine.",
        },
        "servers": [{"url": "/"}],
        "security": [{"key": []}],
        "paths": {path: {"post": _passed_on(path, offer)} for path, offer in OFFERS.items()}
        | listed
        | jobdoc.paths(_responses((_statuses(_REFUSALS) - {413, 415, 502, 504}) | {409})),
        "components": _components(),
    }


def text(indent: int | None = None) -> str:
    """Return the document as it is served; indented for people."""
    separators = None if indent else (",", ":")
    return json.dumps(document(), indent=indent, separators=separators) + "\n"


def _components() -> Json:
    return {
        "securitySchemes": {
            "key": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "JWT",
                "description": "An API key, made by `modelops key create`.",
            }
        },
        "headers": _headers(),
        "schemas": {"Model": _model(), "Models": _models(), "Error": _error(), **jobdoc.schemas()},
        "responses": {f"Refused{status}": _refused(status) for status in _statuses(_REFUSALS)}
        | {f"Refused{status}": _job_refused(status) for status in (409, 500)},
    }


def _passed_on(path: str, offer: Offer) -> Json:
    form = path in FORM_PATHS
    kind = "multipart/form-data" if form else "application/json"
    return {
        "operationId": path.removeprefix("/v1/").replace("/", "_"),
        "summary": offer.summary,
        "requestBody": {"required": True, "content": {kind: {"schema": _named(offer, form=form)}}},
        "responses": {
            "200": {
                "description": "The engine's own answer, as it comes.",
                "headers": _refer("headers", "x-request-id", *RATES),
                "content": {kind: {"schema": _loose(kind)} for kind in offer.answers},
            },
            **({"202": jobdoc.accepted()} if offer.jobs else {}),
            **_responses((_statuses(_REFUSALS) - {405}) | ({409, 500} if offer.jobs else set())),
        },
    }


def _named(offer: Offer, *, form: bool) -> Json:
    """Return what the gateway wants of a body; the rest is the engine's."""
    model = {"type": "string", "minLength": 1, "description": "A name of `GET /v1/models`."}
    # A form's fields have no other types; a longer name cannot be one of a model's.
    fields: Json = {"model": model | {"maxLength": 255}}
    if form:
        fields[offer.file] = {"type": "string", "contentMediaType": "application/octet-stream"}
    more = jobdoc.FIELDS if offer.jobs and not form else {}
    said = f"The engine reads {offer.body}, and all that OpenAI's API has here and it understands."
    schema = {"type": "object", "required": list(fields), "properties": fields | more}
    return schema | {"description": said} | (_PLAIN_NAMES if form else {})


def _loose(kind: str) -> Json:
    return {"type": "object"} if kind == "application/json" else {"type": "string"}


def _listing(identity: str, summary: str, schema: str = "Models") -> Json:
    content = {"application/json": {"schema": _reference("schemas", schema)}}
    return {
        "operationId": identity,
        "summary": summary,
        "responses": {
            "200": {
                "description": "They are as the key's grants say.",
                "headers": _refer("headers", "x-request-id"),
                "content": content,
            },
            **_responses(_statuses(_REFUSALS) - _NO_BODY - {404, 405}),
        },
    }


def _one_model() -> Json:
    made = _listing("retrieveModel", "Tell of one model", "Model")
    return made | {"responses": made["responses"] | _responses({404})}


def _named_model() -> Json:
    schema = {"type": "string", "minLength": 1}
    return {"name": "model", "in": "path", "required": True, "schema": schema}


def _self() -> Json:
    made = _listing("openapi", "This document")
    content = {"application/json": {"schema": {"type": "object", "required": ["openapi"]}}}
    return made | {
        "responses": made["responses"] | {"200": {"description": "It.", "content": content}}
    }


def _statuses(refusals: Iterable[Refusal]) -> set[int]:
    return {refusal.status for refusal in refusals}


def _responses(statuses: Iterable[int]) -> Json:
    return {str(s): _reference("responses", f"Refused{s}") for s in sorted(statuses)}


def _refused(status: int) -> Json:
    """Return the answer of a status; its codes are the gateway's, an engine may have others."""
    refusals = [refusal for refusal in _REFUSALS if refusal.status == status]
    codes = ", ".join(sorted({f"`{refusal.code}`" for refusal in refusals}))
    named = {"x-request-id"}
    named |= {"retry-after"} if any(r.retry_seconds for r in refusals) else set()
    named |= set(RATES) if status == HTTPStatus.TOO_MANY_REQUESTS else set()
    named |= {"allow"} if any(r.allow for r in refusals) else set()
    return {
        "description": f"{HTTPStatus(status).phrase}. The gateway's codes: {codes}.",
        "headers": _refer("headers", *sorted(named)),
        "content": {"application/json": {"schema": _reference("schemas", "Error")}},
    }


def _job_refused(status: int) -> Json:
    """Return the answers that only the job API gives."""
    return {
        "description": f"{HTTPStatus(status).phrase}: what stands in the way of a job.",
        "headers": _refer("headers", "x-request-id"),
        "content": {"application/json": {"schema": _reference("schemas", "Error")}},
    }


def _headers() -> Json:
    text, seconds = {"type": "string"}, {"type": "integer", "minimum": 1}
    return {
        "x-request-id": {"description": "Name it when you ask for help.", "schema": text},
        "retry-after": {"description": "Seconds until a further try.", "schema": seconds},
        **{name: {"description": told, "schema": text} for name, told in RATES.items()},
        "allow": {"description": "The method that this path takes.", "schema": text},
    }


def _model() -> Json:
    fields = {
        "id": {"type": "string", "description": "What a request's `model` says."},
        "object": {"const": "model"},
        "created": {"type": "integer", "description": "Seconds since the epoch."},
        "owned_by": {"type": "string", "description": "The namespace."},
        "status": {
            "enum": list(get_args(State)),
            "description": "Whether it answers now; an `idle` one starts when it is asked.",
        },
    }
    return {"type": "object", "required": list(fields), "properties": fields}


def _models() -> Json:
    data = {"type": "array", "items": _reference("schemas", "Model")}
    fields = {"object": {"const": "list"}, "data": data}
    return {"type": "object", "required": list(fields), "properties": fields}


def _error() -> Json:
    fields = {
        "message": {"type": "string"},
        "type": {"type": "string"},
        "param": {"type": ["string", "null"]},
        "code": {"type": ["string", "integer", "null"]},
    }
    error = {"type": "object", "required": ["message", "type"], "properties": fields}
    return {"type": "object", "required": ["error"], "properties": {"error": error}}


def _reference(kind: str, name: str) -> Json:
    return {"$ref": f"#/components/{kind}/{name}"}


def _refer(kind: str, *names: str) -> Json:
    return {name: _reference(kind, name) for name in names}
