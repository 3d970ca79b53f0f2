"""What the activator says: refusals, comments for those who wait, how an answer came about (pure).

Refusals name the reason of the model's condition and none of its sentence: callers are no
operators.
"""

import json
import math
from typing import Any, Final

from modelops.gateway.answers import BROKEN, SERVER, Refusal
from modelops.gateway.snapshot import Model

STATUS: Final = "x-modelops-status"
"""The header that tells that an answer had to wait for its model, and for how long."""

LONGEST_SECONDS: Final = 60
"""The official clients take no longer advice on when to come again."""

USUAL_SECONDS: Final = 5
"""When to come again where nothing is known."""


def broken(model: Model) -> Refusal | None:
    """Return why a model without replicas does not start; None where it will."""
    named = f"The model `{model.served_name}`"
    if model.state == "off":
        return _refusal(f"{named} is turned off (spec.scaling.maxReplicas is 0).", "model_off")
    if model.state == "stalled":
        told = f"cannot start ({model.trouble}). Whoever runs it sees why with `modelops explain`"
        return _refusal(f"{named} {told}.", "model_cannot_start", LONGEST_SECONDS)
    if model.scale.paused and model.state == "idle":
        told = "rests, and its scaling is paused (spec.scaling.state)"
        return _refusal(f"{named} {told}.", "model_paused", LONGEST_SECONDS)
    return None


def full(eta: float | None) -> Refusal:
    """Return what somebody hears for whom no place is left; `eta` is in seconds."""
    told = "The model is starting, and as many requests as may wait do so"
    return _starting(f"{told}. {_expected(eta)}", eta)


def late(model: Model, waited: float, eta: float | None) -> Refusal:
    """Return what somebody hears who has waited for as long as one may."""
    told = f"The model `{model.served_name}` did not start within {waited:.0f} s"
    return _starting(f"{told}. {_expected(eta)}", eta)


def leading_on(model: Model) -> Refusal:
    """Return what leads a chain on: replicas that are there and cannot be reached."""
    told = f"No replica of the model `{model.served_name}` can be reached now. Try again soon."
    return _refusal(told, "model_unavailable", USUAL_SECONDS)


def unknown() -> Refusal:
    """Return what somebody hears whose model is gone, or not known yet."""
    told = "The model is not known here now. Try again soon."
    return _refusal(told, "model_unavailable", USUAL_SECONDS)


def nonsense(model: Model) -> Refusal:
    """Return what somebody hears whose model's answer is no HTTP."""
    told = f"The model `{model.served_name}` gave an answer that is not valid HTTP."
    return Refusal(502, told, SERVER, BROKEN.code)


def _starting(told: str, eta: float | None) -> Refusal:
    seconds = USUAL_SECONDS if eta is None else min(LONGEST_SECONDS, max(1, math.ceil(eta)))
    return _refusal(told, "model_starting", seconds)


def _expected(eta: float | None) -> str:
    if eta is None:
        return "How long that takes is not known yet. Try again soon."
    return f"It should answer in {max(1, math.ceil(eta))} s."


def _refusal(message: str, code: str, seconds: int | None = None) -> Refusal:
    return Refusal(503, message, SERVER, code, seconds)


def error(refusal: Refusal) -> dict[str, Any]:
    """Return a refusal as OpenAI shapes errors."""
    body: dict[str, Any] = refusal.body["json_format"]
    return body


def event(body: dict[str, Any]) -> bytes:
    """Return a JSON object as an event of a stream."""
    return f"data: {json.dumps(body)}\n\n".encode()


def comment(waited: float) -> bytes:
    """Return what says in a stream that its caller still waits; clients pass it over."""
    return f": waiting for the model to start, {waited:.0f} s\n\n".encode()


def status(what: str, waited: float) -> str:
    """Return the header's value; `waited` is in seconds."""
    return f"{what}; waited={waited:.1f}s"
