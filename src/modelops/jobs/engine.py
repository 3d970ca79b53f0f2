"""What a worker and the engine beside it say to each other (pure).

The worker sends ``POST /run`` with a Run as JSON; the engine answers ``application/x-ndjson``,
one event a line, the last of them Done or Failed. ``GET /ready`` is 200 once a real tiny job has
been done, ``GET /limits`` tells Limits. Closing the connection cancels the work. Files pass by
a folder that both mount.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

RUN: Final = "/run"
READY: Final = "/ready"
LIMITS: Final = "/limits"
EVENTS: Final = "application/x-ndjson"
LONGEST_LINE: Final = 64 * 1024
"""No event has more bytes."""


class Operation(StrEnum):
    """What an engine can be asked for."""

    GENERATE = "images.generate"
    EDIT = "images.edit"
    VARY = "images.vary"


class Trouble(StrEnum):
    """Why an engine did not do what it was asked for."""

    OUT_OF_MEMORY = "out_of_memory"
    INVALID_INPUT = "invalid_input"
    UNSAFE = "unsafe"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Run:
    """What the engine shall do.

    ``input`` is what the caller asked for: prompt, negativePrompt, width, height, steps,
    guidance, seed, n, scheduler, loras, strength, controlNet, controlScale, referenceScale.
    ``files`` are paths of what it gave, by role: image, mask, control, reference. ``output`` is the
    folder for what is made. ``resume`` names the last stage that was finished before, if any; what
    that stage left lies in ``output``.
    """

    id: str
    attempt: int
    operation: str
    input: Mapping[str, Any]
    output: str
    files: Mapping[str, str] = field(default_factory=dict)
    resume: str | None = None

    def json(self) -> bytes:
        """Return it as the engine reads it."""
        return json.dumps(asdict(self)).encode()


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: ``percent`` of the stage; at 100 that stage need not be done again."""

    stage: str
    percent: int


@dataclass(frozen=True, slots=True)
class Output:
    """A file that was made, whole when this is said; ``flagged`` by the safety checker."""

    index: int
    path: str
    content_type: str
    seed: int | None = None
    width: int | None = None
    height: int | None = None
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """All is made; ``seconds`` is how long the accelerator worked."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """Nothing more comes; ``retriable`` when another try may go better."""

    code: str
    message: str
    retriable: bool


Event = Progress | Output | Done | Failed


@dataclass(frozen=True, slots=True)
class Limits:
    """What an engine takes at most, and how fast it is; 0 where it does not say."""

    max_width: int = 0
    max_height: int = 0
    max_steps: int = 0
    max_images: int = 0
    seconds_per_megapixel_step: float = 0.0


class NotUnderstood(ValueError):
    """An engine said something that is no event."""


def event(line: bytes | str) -> Event:
    """Return what a line says; raise NotUnderstood when it says nothing known."""
    try:
        said = json.loads(line)
        return _event(said)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotUnderstood(f"the engine said what is no event: {line[:200]!r}") from error


def limits(said: Mapping[str, Any]) -> Limits:
    """Return what an engine tells of itself."""
    return Limits(
        max_width=int(said.get("maxWidth") or 0),
        max_height=int(said.get("maxHeight") or 0),
        max_steps=int(said.get("maxSteps") or 0),
        max_images=int(said.get("maxImages") or 0),
        seconds_per_megapixel_step=float(said.get("secondsPerMegapixelStep") or 0),
    )


def _event(said: Mapping[str, Any]) -> Event:
    match said["event"]:
        case "progress":
            return Progress(str(said["stage"]), min(100, max(0, int(said["percent"]))))
        case "output":
            return _output(said)
        case "done":
            return Done(float(said["seconds"]))
        case "error":
            return Failed(str(said["code"]), str(said["message"]), bool(said["retriable"]))
    raise NotUnderstood(said["event"])


def _output(said: Mapping[str, Any]) -> Output:
    return Output(
        index=int(said["index"]),
        path=str(said["path"]),
        content_type=str(said["contentType"]),
        seed=_whole(said.get("seed")),
        width=_whole(said.get("width")),
        height=_whole(said.get("height")),
        flagged=bool(said.get("flagged", False)),
    )


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)
