"""What the gateway itself says when it does not pass a request on, in OpenAI's shape."""

import json
from dataclasses import dataclass
from typing import Any, Final

from modelops.gateway.typed import Json, extension

CALLER: Final = "invalid_request_error"
SERVER: Final = "server_error"
RETRY_SECONDS: Final = 2


@dataclass(frozen=True, slots=True)
class Refusal:
    """One answer: HTTP status, sentence, OpenAI's type and code; when to try again, and how."""

    status: int
    message: str
    type: str = CALLER
    code: str | None = None
    retry_seconds: int | None = None
    allow: str | None = None

    @property
    def body(self) -> Json:
        """The answer's JSON; Envoy fills in what stands between percent signs."""
        error = {"message": self.message, "type": self.type, "param": None, "code": self.code}
        return {"json_format": {"error": error}}

    @property
    def headers(self) -> list[Json]:
        """The headers that go with it."""
        named = (("retry-after", self.retry_seconds), ("allow", self.allow))
        return [header(name, str(value)) for name, value in named if value is not None]


MODEL: Final = "%FILTER_STATE(modelops.model:PLAIN)%"

UNAUTHENTICATED: Final = Refusal(
    401,
    "The API key is missing, wrong, expired or revoked. Send it as `Authorization: Bearer KEY`; "
    "whoever runs this platform makes one with `modelops key create`.",
    code="invalid_api_key",
)
MODEL_UNKNOWN: Final = Refusal(
    404,
    f"The model `{MODEL}` does not exist or your API key may not use it. GET /v1/models lists "
    "those that it may use.",
    code="model_not_found",
)
MODEL_UNLISTED: Final = Refusal(
    404,
    "%PATH(NQ)% names no model that exists and that your API key may use.",
    code="model_not_found",
)
URL_UNKNOWN: Final = Refusal(
    404, "Unknown request URL: %REQ(:METHOD)% %PATH(NQ)%.", code="unknown_url"
)
POST_ONLY: Final = Refusal(
    405, "%PATH(NQ)% takes POST, not %REQ(:METHOD)%.", code="method_not_allowed", allow="POST"
)
GET_ONLY: Final = Refusal(
    405, "%PATH(NQ)% takes GET, not %REQ(:METHOD)%.", code="method_not_allowed", allow="GET"
)
NOT_JSON: Final = Refusal(
    415, "Send the request as JSON, with `Content-Type: application/json`.", code="not_json"
)
NOT_FORM: Final = Refusal(
    415,
    "Send the request as a form, with `Content-Type: multipart/form-data; boundary=...`.",
    code="not_multipart",
)
FORM_MALFORMED: Final = Refusal(
    400,
    "The request's body cannot be parsed as multipart/form-data with one plain field `model`.",
    code="invalid_multipart",
)
JSON_MALFORMED: Final = Refusal(
    400, "The request's body cannot be parsed as JSON.", code="invalid_json"
)
MODEL_MISSING: Final = Refusal(
    400, "The request has no `model`. Say which one you mean.", code="model_missing"
)
REQUEST_MALFORMED: Final = Refusal(400, "The request is not valid HTTP.", code="invalid_http")
UPLOAD_TIMEOUT: Final = Refusal(
    408, "The request did not arrive completely in time.", code="request_timeout"
)
BODY_TOO_LARGE: Final = Refusal(
    413, "The request's body is larger than this platform takes.", code="request_too_large"
)
LIMIT_REACHED: Final = Refusal(
    429, "A limit is reached.", "requests", "rate_limit_exceeded", RETRY_SECONDS
)
"""The limiter words it: it knows which limit, whose, and until when."""

MODEL_BUSY: Final = Refusal(
    429,
    "The model has more requests than it can take now. Try again soon.",
    "requests",
    "model_busy",
    RETRY_SECONDS,
)
LIMITS_UNKNOWN: Final = Refusal(
    503,
    "Whether your limits allow this request cannot be looked up now. Try again soon.",
    SERVER,
    "limits_unavailable",
    RETRY_SECONDS,
)
HEADERS_TOO_LARGE: Final = Refusal(
    431, "The request's headers are more or larger than this platform takes.",
    code="headers_too_large",
)  # fmt: skip
BROKEN: Final = Refusal(
    502, f"The model `{MODEL}` gave an answer that is not valid HTTP.", SERVER, "model_broken"
)
NO_REPLICA: Final = Refusal(
    503,
    f"No replica of the model `{MODEL}` answers now. Try again soon.",
    SERVER,
    "model_unavailable",
    RETRY_SECONDS,
)
MODEL_STARTING: Final = Refusal(
    503, "The model is starting. Try again soon.", SERVER, "model_starting", RETRY_SECONDS
)
"""The activator words this one and the next three: it knows the model."""

MODEL_STUCK: Final = Refusal(503, "The model cannot start.", SERVER, "model_cannot_start", 60)
MODEL_PAUSED: Final = Refusal(503, "The model rests.", SERVER, "model_paused", 60)
MODEL_OFF: Final = Refusal(503, "The model is turned off.", SERVER, "model_off")
OVERLOADED: Final = Refusal(
    503,
    "The gateway has no memory left for further requests. Try again soon.",
    SERVER,
    "gateway_overloaded",
    RETRY_SECONDS,
)
SILENT: Final = Refusal(
    504, f"The model `{MODEL}` did not answer in time.", SERVER, "model_timeout", RETRY_SECONDS
)
BROKEN_OFF: Final = Refusal(
    502,
    "The model's replica failed in the middle of this answer. What came before is all there is of "
    "it. Ask again.",
    SERVER,
    "model_broken",
)
"""An answer whose beginning is sent has no other status: this one and the next are events in it."""

SILENCE: Final = Refusal(
    504, "The model did not go on with this answer in time. Ask again.", SERVER, "model_timeout"
)


def event(refusal: Refusal) -> dict[str, str]:
    """Return a refusal as the last event of a stream: as in chats, and as in responses."""
    error = refusal.body["json_format"]["error"]
    plain, typed = {"error": error}, error | {"type": "error", "error": error}
    return {
        "plain": f"data: {json.dumps(plain)}\n\n",
        "typed": f"event: error\ndata: {json.dumps(typed)}\n\n",
    }


_OWN: Final = {
    "modelops_unknown_url": URL_UNKNOWN,
    "modelops_post_only": POST_ONLY,
    "modelops_get_only": GET_ONLY,
    "modelops_not_json": NOT_JSON,
    "modelops_not_form": NOT_FORM,
    "modelops_malformed_json": JSON_MALFORMED,
    "modelops_malformed_form": FORM_MALFORMED,
    "modelops_nameless": MODEL_MISSING,
    "modelops_not_granted": MODEL_UNKNOWN,
    "modelops_not_listed": MODEL_UNLISTED,
    "overload": OVERLOADED,
}
"""By what the module, or Envoy, gives as the reason of an answer."""

_ELSE: Final = (
    (400, REQUEST_MALFORMED),
    (403, REQUEST_MALFORMED),  # another protocol, such as a WebSocket
    (426, REQUEST_MALFORMED),  # HTTP before 1.1
    (501, REQUEST_MALFORMED),  # a transfer encoding other than chunked
    *(
        (refusal.status, refusal)
        for refusal in (
            UPLOAD_TIMEOUT,
            BODY_TOO_LARGE,
            HEADERS_TOO_LARGE,
            BROKEN,
            NO_REPLICA,
            SILENT,
        )
    ),
)


def mappers() -> list[Json]:
    """Return how answers of Envoy's and the module's are worded; the first that fits is used."""
    return [
        _mapper(UNAUTHENTICATED, _status(401)),
        *(_mapper(refusal, _because(why)) for why, refusal in _OWN.items()),
        _mapper(MODEL_UNKNOWN, _flag("NR")),  # one that the tenant may not use
        _mapper(LIMITS_UNKNOWN, _flag("RLSE")),
        _mapper(MODEL_BUSY, _flag("UO")),
        *(_mapper(refusal, _status(status)) for status, refusal in _ELSE),
    ]


def direct(refusal: Refusal) -> Json:
    """Return the fields of a route that answers with a refusal."""
    return {
        "direct_response": {"status": refusal.status, "body_format": refusal.body},
        "response_headers_to_add": [header("content-type", "application/json"), *refusal.headers],
    }


def _mapper(refusal: Refusal, which: Json) -> Json:
    return {
        "filter": which,
        "status_code": refusal.status,
        "body_format_override": refusal.body,
        "headers_to_add": refusal.headers,
    }


def _status(code: int) -> Json:
    value = {"default_value": code, "runtime_key": f"modelops.answer.{code}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _flag(name: str) -> Json:
    return {"response_flag_filter": {"flags": [name]}}


def _because(details: str) -> Json:
    """Return the filter for what Envoy itself gives as the reason of an answer."""
    kind = "envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter"
    said = extension("why", kind, expression=f"response.code_details == '{details}'")
    return {"extension_filter": said}


def header(name: str, value: str) -> Json:
    """Return the setting of one header of an answer."""
    said: dict[str, Any] = {"key": name, "value": value}
    return {"header": said, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
