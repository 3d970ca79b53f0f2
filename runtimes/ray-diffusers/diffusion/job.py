"""What is asked for: a job as it comes, read with care and held to the model's limits (pure)."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, Literal

from diffusion.defaults import Defaults
from diffusion.fault import invalid

Operation = Literal["images.generate", "images.edit", "images.vary"]
OPERATIONS: Final = ("images.generate", "images.edit", "images.vary")
FORMATS: Final = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
LONGEST_PROMPT: Final = 20_000
"""Characters; an encoder reads the first few hundred tokens only."""

MOST_LORAS: Final = 8
ONLY: Final = ""
"""The ControlNet of a model that has but one."""

SEEDS: Final = 2**63
_FILES: Final = frozenset({"image", "mask", "control", "reference"})
_KNOWN: Final = frozenset(
    {"prompt", "negativePrompt", "width", "height", "steps", "guidance", "seed", "n"}
    | {"scheduler", "loras", "strength", "format", "controlNet", "controlScale", "referenceScale"}
)


@dataclass(frozen=True, slots=True)
class Lora:
    """An adapter by its name, and how strong it is; 1 is as it was trained."""

    name: str
    weight: float


@dataclass(frozen=True, slots=True)
class Shape:
    """What pictures must have in common to be made at once."""

    operation: Operation
    masked: bool
    width: int
    height: int
    steps: int
    guidance: float
    scheduler: str | None
    strength: float | None
    loras: tuple[Lora, ...]
    negative: bool
    control: str | None
    control_scale: float
    reference_scale: float | None

    @property
    def megapixel_steps(self) -> float:
        """The work of one picture, as megapixels times steps."""
        return self.width * self.height / 1e6 * self.steps


@dataclass(frozen=True, slots=True)
class Job:
    """One job: what its pictures are to be like, and what is each one's own."""

    id: str
    shape: Shape
    prompt: str
    negative_prompt: str
    seeds: tuple[int, ...]
    format: str
    files: Mapping[str, str]
    output: str


def parse(body: object, defaults: Defaults, scratch: str) -> Job:
    """Return the job that a request asks for; files must lie below ``scratch``.

    Raises Fault (invalid_input).
    """
    asked = _object(body, "the body")
    given = _object(asked.get("input", {}), "input")
    _refuse_unknown(given)
    identity = _text(asked.get("id", ""), "id", 256)
    files = _files(asked.get("files", {}), scratch)
    shape = _shape(_operation(asked), given, files, defaults)
    return Job(
        id=identity,
        shape=shape,
        prompt=_text(given.get("prompt", ""), "prompt", LONGEST_PROMPT),
        negative_prompt=_text(given.get("negativePrompt", ""), "negativePrompt", LONGEST_PROMPT),
        seeds=_seeds(given, identity, defaults),
        format=_one_of(given.get("format", "png"), "format", tuple(FORMATS)),
        files=files,
        output=_below(_text(asked.get("output", ""), "output", 4096), scratch),
    )


def _operation(asked: Mapping[str, Any]) -> Operation:
    operation = asked.get("operation")
    found = next((each for each in OPERATIONS if each == operation), None)
    if found is None:
        raise invalid(f"operation is one of {', '.join(OPERATIONS)}, not {operation!r}")
    return found  # type: ignore[return-value]


def _shape(
    operation: Operation,
    given: Mapping[str, Any],
    files: Mapping[str, str],
    defaults: Defaults,
) -> Shape:
    limits, family = defaults.limits, defaults.family
    _refuse_missing(operation, given, files)
    scheduler = given.get("scheduler") or defaults.scheduler
    steps = _whole(given.get("steps", defaults.steps), "steps", 1, limits.steps)
    negative = bool(given.get("negativePrompt"))
    if negative and not family.negative:
        raise invalid("this model takes no negativePrompt: leave it out")
    return Shape(
        operation=operation,
        masked="mask" in files,
        width=_side(given, "width", defaults.width, limits.width, family.multiple),
        height=_side(given, "height", defaults.height, limits.height, family.multiple),
        steps=steps,
        guidance=_number(given.get("guidance", defaults.guidance), "guidance", 0, 100),
        scheduler=None if scheduler is None else _text(scheduler, "scheduler", 64),
        strength=_strength(operation, given, steps),
        loras=_loras(given.get("loras", [])),
        negative=negative,
        control=_control(given, files),
        control_scale=_number(given.get("controlScale", 1.0), "controlScale", 0, 2),
        reference_scale=_reference(given, files),
    )


def _refuse_unknown(given: Mapping[str, Any]) -> None:
    unknown = sorted(given.keys() - _KNOWN)
    if unknown:
        raise invalid(f"input.{unknown[0]} is not known; there are {', '.join(sorted(_KNOWN))}")


def _refuse_missing(
    operation: Operation, given: Mapping[str, Any], files: Mapping[str, str]
) -> None:
    if operation == "images.generate" and not given.get("prompt"):
        raise invalid("prompt is missing: say what the picture shall show")
    if operation != "images.generate" and "image" not in files:
        raise invalid(f"{operation} needs a picture to begin with: give image")


def _strength(operation: Operation, given: Mapping[str, Any], steps: int) -> float | None:
    """Return the part of the steps that are taken, at least one of them."""
    if operation == "images.generate":
        return None
    usual = 0.6 if operation == "images.vary" else 0.8
    strength = _number(given.get("strength", usual), "strength", 0, 1)
    return min(1.0, max(strength, 1.001 / steps))


def _control(given: Mapping[str, Any], files: Mapping[str, str]) -> str | None:
    name = given.get("controlNet")
    if "control" not in files:
        if name is not None:
            raise invalid("controlNet needs the picture control: give both")
        return None
    return ONLY if name is None else _text(name, "controlNet", 253)


def _reference(given: Mapping[str, Any], files: Mapping[str, str]) -> float | None:
    if "reference" not in files:
        return None
    return _number(given.get("referenceScale", 0.6), "referenceScale", 0, 1)


def _loras(given: object) -> tuple[Lora, ...]:
    if not isinstance(given, list) or len(given) > MOST_LORAS:
        raise invalid(f"loras is a list of at most {MOST_LORAS}, each with a name and a weight")
    found = [_lora(_object(each, "loras")) for each in given]
    if len({lora.name for lora in found}) < len(found):
        raise invalid("a name is in loras twice")
    return tuple(sorted(found, key=lambda lora: lora.name))


def _lora(given: Mapping[str, Any]) -> Lora:
    name = _text(given.get("name", ""), "loras.name", 253)
    return Lora(name, _number(given.get("weight", 1.0), "loras.weight", -4, 4))


def _seeds(given: Mapping[str, Any], identity: str, defaults: Defaults) -> tuple[int, ...]:
    """Return a seed for each picture, one after the other, so that each can be made by itself.

    Who gives none gets what follows from the job's id: a job that is tried again makes the same.
    """
    count = _whole(given.get("n", 1), "n", 1, defaults.limits.images)
    digest = hashlib.sha256(identity.encode()).digest()
    drawn = int.from_bytes(digest[:4], "big")
    asked = given.get("seed")
    first = _whole(drawn if asked is None else asked, "seed", 0, SEEDS - 1)
    return tuple((first + index) % SEEDS for index in range(count))


def _side(given: Mapping[str, Any], name: str, usual: int, most: int, multiple: int) -> int:
    length = _whole(given.get(name, usual), name, multiple, most)
    if length % multiple:
        near = max(multiple, round(length / multiple) * multiple)
        raise invalid(f"{name} must be a multiple of {multiple} for this model: {near} is near")
    return length


def _files(given: object, scratch: str) -> dict[str, str]:
    listed = _object(given, "files")
    unknown = sorted(listed.keys() - _FILES)
    if unknown:
        raise invalid(f"files.{unknown[0]} is not known; there are {', '.join(sorted(_FILES))}")
    paths = {name: _text(path, f"files.{name}", 4096) for name, path in listed.items()}
    return {name: _below(path, scratch) for name, path in paths.items()}


def _below(path: str, scratch: str) -> str:
    place = PurePosixPath(path)
    if ".." in place.parts or not place.is_relative_to(scratch) or str(place) == scratch:
        raise invalid(f"files lie below {scratch}, not at {path!r}")
    return str(place)


def _object(given: object, name: str) -> Mapping[str, Any]:
    if isinstance(given, Mapping):
        return given
    raise invalid(f"{name} must be an object")


def _text(given: object, name: str, most: int) -> str:
    if isinstance(given, str) and len(given) <= most:
        return given
    raise invalid(f"{name} must be a text of at most {most} characters")


def _one_of(given: object, name: str, known: tuple[str, ...]) -> str:
    if isinstance(given, str) and given in known:
        return given
    raise invalid(f"{name} is one of {', '.join(known)}")


def _whole(given: object, name: str, least: int, most: int) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and least <= given <= most:
        return given
    raise invalid(f"{name} must be a whole number from {least} to {most}, not {given!r:.40}")


def _number(given: object, name: str, least: float, most: float) -> float:
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if number and math.isfinite(given) and least <= given <= most:  # type: ignore[operator]
        return float(given)  # type: ignore[arg-type]
    raise invalid(f"{name} must be a number from {least} to {most}, not {given!r:.40}")
