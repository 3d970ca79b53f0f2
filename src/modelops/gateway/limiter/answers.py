"""What callers are told of their limits: headers as OpenAI sends them, and refusals (pure)."""

import json
import math
from collections.abc import Iterable, Iterator
from typing import Final

from modelops.gateway.answers import LIMIT_REACHED, MODEL_BUSY
from modelops.gateway.limiter.ledger import Standing, Taken

SCOPES: Final = {"key": "API key", "tenant": "tenant"}
WHATS: Final = {
    "requests": "requests per minute",
    "tokens": "tokens per minute",
    "parallel": "concurrent requests",
}
TYPES: Final = {"requests": "requests", "tokens": "tokens", "parallel": "requests"}
ADVICE: Final = {
    "requests": "Try again in {seconds} s, then send more slowly.",
    "tokens": "Try again in {seconds} s, then ask for fewer tokens.",
    "parallel": "Wait until one of them has been answered.",
}


def headers(taken: Taken) -> dict[str, str]:
    """Return the headers of an answer, for the requests and tokens that are closest to the end."""
    told = dict(_told(taken.standings))
    refused = taken.refused_by
    if refused is None:
        return told
    return told | refusal(seconds(refused.frees))


def refusal(after: int) -> dict[str, str]:
    """Return the headers of every refusal; seconds."""
    return {"content-type": "application/json", "retry-after": str(after)}


def _told(standings: Iterable[Standing]) -> Iterator[tuple[str, str]]:
    by_need = sorted(standings, key=lambda s: s.remaining, reverse=True)
    closest = {one.limit.what: one for one in by_need if one.limit.what != "parallel"}
    for what, one in closest.items():
        yield f"x-ratelimit-limit-{what}", str(one.limit.most)
        yield f"x-ratelimit-remaining-{what}", str(one.remaining)
        yield f"x-ratelimit-reset-{what}", duration(seconds(one.resets))


def body(refused: Standing) -> str:
    """Return the answer to a request that a limit keeps off, in OpenAI's shape."""
    limit = refused.limit
    advice = ADVICE[limit.what].format(seconds=seconds(refused.frees))
    message = (
        f"The {SCOPES[limit.scope]}'s limit of {limit.most} {WHATS[limit.what]} is reached. "
        f"{advice}"
    )
    return _error(message, TYPES[limit.what], LIMIT_REACHED.code)


def busy() -> str:
    """Return the answer to a request that got no place at a saturated model."""
    return _error(MODEL_BUSY.message, MODEL_BUSY.type, MODEL_BUSY.code)


def _error(message: str, kind: str, code: str | None) -> str:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


def seconds(milliseconds: int) -> int:
    """Return whole seconds, never too few."""
    return max(1, math.ceil(milliseconds / 1000)) if milliseconds > 0 else 0


def duration(whole: int) -> str:
    """Return seconds as OpenAI writes them: ``1s``, ``6m0s``."""
    minutes, rest = divmod(whole, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
