"""What requests use: how tokens are read from answers, and the loggers that count them.

Envoy counts by itself, in its statistics; `counters.py` reads them. A count has the tags tenant,
key (the API key's id), model, which is empty for requests that reached no model, and path.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

from modelops.gateway.access import CLAIMS
from modelops.gateway.routes import JSON_TYPE, PATHS
from modelops.gateway.typed import Json, extension, metadata

TOKENS: Final = "modelops.tokens"
"""Where a request's numbers of tokens stand in its dynamic metadata."""

STREAM: Final = ("modelops", "stream")
"""Where it says whether the request asks for a stream, in the request's own words."""

USAGE_ASKED: Final = ("modelops", "usage_asked")
"""Where it says whether the request asks for the stream's usage, in the request's own words."""

SCOPE: Final = "modelops"
TIMES: Final = "modelops_times"
MOST_COUNTERS: Final = 100_000
MOST_HISTOGRAMS: Final = 20_000
FORGOTTEN_SECONDS: Final = 600
"""What has not changed for so long is forgotten, and starts at zero when it comes back."""

DURATION: Final = "request_milliseconds"
FIRST: Final = "first_token_microseconds"
EACH: Final = "per_token_microseconds"
BUCKETS: Final[dict[str, Sequence[float]]] = {
    DURATION: [10 * 2**n for n in range(14)],
    FIRST: [
        1_000, 5_000, 10_000, 20_000, 40_000, 60_000, 80_000, 100_000, 250_000, 500_000, 750_000,
        1_000_000, 2_500_000, 5_000_000, 7_500_000, 10_000_000,
    ],
    EACH: [
        10_000, 25_000, 50_000, 75_000, 100_000, 150_000, 200_000, 300_000, 400_000, 500_000,
        750_000, 1_000_000, 2_500_000,
    ],
}  # fmt: skip
"""The bounds that OpenTelemetry's conventions for generative AI name, in Envoy's whole numbers."""

_CALLER: Final = {
    "tenant": f"%DYNAMIC_METADATA({CLAIMS[0]}:{CLAIMS[1]}:sub)%",
    "key": f"%DYNAMIC_METADATA({CLAIMS[0]}:{CLAIMS[1]}:jti)%",
    "model": "%ROUTE_NAME%",
    "path": "%PATH(NQ)%",
}
_OPERATION: Final = {"model": "%ROUTE_NAME%", "path": "%PATH(NQ)%"}
_FAILURE: Final = _OPERATION | {"error": "%RESPONSE_CODE%"}


def request_rules() -> list[Json]:
    """Return what is read from requests: whether a stream is wanted, and whether its usage."""
    return [
        _rule(("stream",), _present(*STREAM, "STRING")),
        _rule(("stream_options", "include_usage"), _present(*USAGE_ASKED, "STRING")),
    ]


def response_rules() -> Json:
    """Return what is read from answers in JSON; streams are read by `streams.py`.

    Embeddings have no output, which counts as zero. Where two names mean the same, the later
    rule wins.
    """
    output = _present(TOKENS, "output", "NUMBER")
    none = {"metadata_namespace": TOKENS, "key": "output", "value": 0}
    return {
        "rules": [
            _rule(("usage", "input_tokens"), _present(TOKENS, "input", "NUMBER")),
            _rule(("usage", "prompt_tokens"), _present(TOKENS, "input", "NUMBER")),
            _rule(("usage", "output_tokens"), output, on_missing=none),
            _rule(("usage", "completion_tokens"), output),
        ],
        "allow_content_types_regex": {"regex": JSON_TYPE},
    }


def _rule(path: tuple[str, ...], found: Json, **fields: Json) -> Json:
    return {"selectors": [{"key": key} for key in path], "on_present": found, **fields}


def _present(namespace: str, key: str, kind: str) -> Json:
    return {"metadata_namespace": namespace, "key": key, "type": kind}


def loggers() -> list[Json]:
    """Return the loggers that count: each request is counted, uncounted or failed."""
    return [
        _logger(
            SCOPE,
            _has("input"),
            counters=[
                _counter("requests"),
                _counter("input_tokens", f"%DYNAMIC_METADATA({TOKENS}:input)%"),
                _counter("output_tokens", f"%DYNAMIC_METADATA({TOKENS}:output)%"),
            ],
        ),
        _logger(
            SCOPE,
            _uncounted(),
            counters=[
                _counter("uncounted_requests"),
                _counter("uncounted_bytes_received", "%BYTES_RECEIVED%"),
                _counter("uncounted_bytes_sent", "%BYTES_SENT%"),
            ],
        ),
        _logger(SCOPE, _failed(), counters=[_counter("failed_requests")]),
        *_times(),
    ]


def _times() -> list[Json]:
    """Return the loggers of times, by model and path: how long, to a first token, for each."""
    first = "%COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:us)%"
    per_token = f"%DYNAMIC_METADATA({TOKENS}:per_token)%"
    duration = "%DURATION%"
    good = _all(_status("LE", 399), _offered())
    return [
        _logger(TIMES, good, histograms=[_histogram(DURATION, _OPERATION, duration)]),
        _logger(TIMES, _failed(), histograms=[_histogram(DURATION, _FAILURE, duration)]),
        _logger(
            TIMES,
            _has("streamed"),
            histograms=[_histogram(FIRST, _OPERATION, first, "Microseconds")],
        ),
        _logger(
            TIMES,
            _has("per_token"),
            histograms=[_histogram(EACH, _OPERATION, per_token, "Microseconds")],
        ),
    ]


def buckets() -> list[Json]:
    """Return the bounds of the histograms, for the bootstrap."""
    return [
        {"match": {"prefix": f"{TIMES}.{name}"}, "buckets": [float(each) for each in bounds]}
        for name, bounds in BUCKETS.items()
    ]


def _logger(scope: str, which: Json, **stats: Any) -> Json:
    limits = {"max_counters": MOST_COUNTERS, "max_histograms": MOST_HISTOGRAMS}
    kept = {"prefix": scope, "enable_eviction": True, **limits}
    kind = "envoy.extensions.access_loggers.stats.v3.Config"
    return {**extension("stats", kind, stats_scope=kept, **stats), "filter": which}


def _counter(name: str, value: str | None = None) -> Json:
    amount = {"value_format": value} if value else {"value_fixed": 1}
    return {"stat": _stat(name, _CALLER), **amount}


def _histogram(name: str, tags: dict[str, str], value: str, unit: str = "Milliseconds") -> Json:
    return {"stat": _stat(name, tags), "unit": unit, "value_format": value}


def _stat(name: str, tags: dict[str, str]) -> Json:
    return {"name": name, "tags": [{"name": t, "value_format": v} for t, v in tags.items()]}


def _offered() -> Json:
    """Return the filter for paths that models are asked on: others may have any name."""
    paths = "|".join(re.escape(path) for path in PATHS)
    regex = {"safe_regex": {"regex": rf"({paths})(\?.*)?"}}
    return {"header_filter": {"header": {"name": ":path", "string_match": regex}}}


def _uncounted() -> Json:
    """Return the filter for what engines worked on and told no usage of.

    Most often the caller of a stream went away before its end, where the usage is.
    """
    unknown = _metadata("input", {"present_match": False}, missing=True)
    return _all(unknown, _status("LE", 200), _offered())


def _failed() -> Json:
    return _all(_status("GE", 400), _offered())


def _has(key: str) -> Json:
    return _metadata(key, {"present_match": True}, missing=False)


def _metadata(key: str, value: Json, *, missing: bool) -> Json:
    matcher = {**metadata(TOKENS, key), "value": value}
    return {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": missing}}


def _status(operator: str, code: int) -> Json:
    value = {"default_value": code, "runtime_key": f"modelops.count.{operator}.{code}"}
    return {"status_code_filter": {"comparison": {"op": operator, "value": value}}}


def _all(*filters: Json) -> Json:
    """Return the filter that all of these let pass; the first that does not ends the question."""
    return {"and_filter": {"filters": list(filters)}}
