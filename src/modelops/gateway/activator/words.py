"""What the activator says: refusals, comments for those who wait, how an answer came about (pure).

Refusals name the reason of the model's condition and none of its sentence: callers are no
operators.
"""

import json
import math
from dataclasses import replace
from typing import Any, Final

from modelops.gateway import answers
from modelops.gateway.answers import Refusal
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
        told = f"{named} is turned off (spec.scaling.maxReplicas is 0)."
        return replace(answers.MODEL_OFF, message=told)
    if model.state == "stalled":
        told = f"{named} cannot start ({model.trouble}); `modelops explain` tells its owner why."
        return replace(answers.MODEL_STUCK, message=told)
    if model.scale.paused and model.state == "idle":
        told = f"{named} rests, and its scaling is paused (spec.scaling.state)."
        return replace(answers.MODEL_PAUSED, message=told)
    return None


def full(eta: float | None) -> Refusal:
    """Return what somebody hears for whom no place is left; `eta` is in seconds."""
    return _starting("The model is starting, and as many requests as may wait do so", eta)


def late(model: Model, waited: float, eta: float | None) -> Refusal:
    """Return what somebody hears who has waited for as long as one may."""
    return _starting(f"The model `{model.served_name}` did not start within {waited:.0f} s", eta)


def leading_on(model: Model) -> Refusal:
    """Return what leads a chain on: replicas that are there and cannot be reached."""
    told = f"No replica of the model `{model.served_name}` can be reached now. Try again soon."
    return replace(answers.NO_REPLICA, message=told)


def unknown() -> Refusal:
    """Return what somebody hears whose model is gone, or not known yet."""
    told = "The model is not known here now. Try again soon."
    return replace(answers.NO_REPLICA, message=told)


def nonsense(model: Model) -> Refusal:
    """Return what somebody hears whose model's answer is no HTTP."""
    told = f"The model `{model.served_name}` gave an answer that is not valid HTTP."
    return replace(answers.BROKEN, message=told)


def _starting(told: str, eta: float | None) -> Refusal:
    if eta is None:
        text = f"{told}. How long that takes is not known yet. Try again soon."
        return replace(answers.MODEL_STARTING, message=text, retry_seconds=USUAL_SECONDS)
    seconds = max(1, math.ceil(eta))
    again = min(LONGEST_SECONDS, seconds)
    text = f"{told}. It should answer in {seconds} s."
    return replace(answers.MODEL_STARTING, message=text, retry_seconds=again)


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
