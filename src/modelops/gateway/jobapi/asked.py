"""What a caller asks images for: a mistake is told before any work is done (pure)."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from modelops.jobs.engine import Limits, Operation
from modelops.jobs.outside import Forbidden, checked

PATHS: Final[Mapping[str, Operation]] = {
    "/v1/images/generations": Operation.GENERATE,
    "/v1/images/edits": Operation.EDIT,
    "/v1/images/variations": Operation.VARY,
}
MOST_IMAGES: Final = 10
LARGEST_SIDE: Final = 4096
USUAL_STEPS: Final = 20
USUAL_SIDE: Final = 1024
_SIZE: Final = re.compile(r"([1-9]\d{1,3})x([1-9]\d{1,3})")
_ROLES: Final = ("image", "mask", "control", "reference")


class Wrong(ValueError):
    """A request says what it may not."""


def _listed(value: Any) -> Any:
    """Return what a form holds as text: loras are JSON there."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


class Lora(BaseModel):
    """An adapter, by name, and how much of it."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=255)
    weight: float = Field(1.0, ge=-4, le=4)


class Images(BaseModel):
    """The fields of a request: OpenAI's, and those that only diffusion models understand."""

    model_config = ConfigDict(extra="ignore")

    prompt: str = Field("", max_length=32_000)
    n: int = Field(1, ge=1, le=MOST_IMAGES)
    size: str = Field("auto", max_length=16)
    response_format: Literal["url", "b64_json"] = "url"
    negative_prompt: str | None = Field(None, max_length=32_000)
    steps: int | None = Field(None, ge=1, le=500)
    guidance: float | None = Field(None, ge=0, le=100)
    strength: float | None = Field(None, ge=0, le=1)
    seed: int | None = Field(None, ge=0, lt=2**63)
    scheduler: str | None = Field(None, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    loras: Annotated[list[Lora] | None, BeforeValidator(_listed)] = Field(None, max_length=8)
    image_url: str | None = Field(None, max_length=8192)
    mask_url: str | None = Field(None, max_length=8192)
    control_url: str | None = Field(None, max_length=8192)
    control_net: str | None = Field(None, min_length=1, max_length=253)
    control_scale: float | None = Field(None, ge=0, le=2)
    reference_url: str | None = Field(None, max_length=8192)
    reference_scale: float | None = Field(None, ge=0, le=1)
    webhook: str | None = Field(None, max_length=2048)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: the engine's input, URLs of files by role, the work that it is in seconds."""

    operation: Operation
    input: Mapping[str, Any]
    urls: Mapping[str, str]
    answer: str
    webhook: str | None
    seconds: float
    digests: Mapping[str, str] = field(default_factory=dict)
    """Of files that came with it."""

    @property
    def alike(self) -> str:
        """What is the same for equal requests only."""
        said = [self.operation, self.input, self.urls, self.answer, self.webhook, self.digests]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def asked(path: str, fields: Mapping[str, Any], digests: Mapping[str, str]) -> Asked:
    """Return what is asked for; raises Wrong with a sentence for the caller."""
    try:
        said = Images.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise Wrong(f"`{where}` is wrong: {first['msg']}.") from error
    urls = {role: url for role in _ROLES if (url := getattr(said, f"{role}_url"))}
    for name, url in [*urls.items(), *([("webhook", said.webhook)] if said.webhook else [])]:
        _check_url(name, url)
    operation = _operation(PATHS[path], {*urls, *digests}, said)
    return Asked(
        operation=operation,
        input=_input(said),
        urls=urls,
        answer=said.response_format,
        webhook=said.webhook,
        seconds=_seconds(said),
        digests=digests,
    )


def excess(wanted: Mapping[str, Any], limits: Limits) -> str:
    """Return a sentence about the first number that is over what the model takes; else empty."""
    most = {
        "width": limits.max_width,
        "height": limits.max_height,
        "steps": limits.max_steps,
        "n": limits.max_images,
    }
    over = (name for name, limit in most.items() if 0 < limit < (wanted.get(name) or 0))
    found = next(over, None)
    return f"`{found}` is {wanted[found]}: this model takes up to {most[found]}." if found else ""


def _operation(operation: Operation, roles: set[str], said: Images) -> Operation:
    """Return what the engine shall do, which a picture beside a prompt changes."""
    if operation is not Operation.GENERATE and "image" not in roles:
        raise Wrong("There is no `image`: send a file, or an `image_url`.")
    if operation is not Operation.VARY and not said.prompt.strip():
        raise Wrong("There is no `prompt`: say what the image shall show.")
    if "mask" in roles and "image" not in roles:
        raise Wrong("There is a mask and no image.")
    if said.control_net and "control" not in roles:
        raise Wrong("There is a `control_net` and no picture for it: send a `control_url`.")
    generates = operation is Operation.GENERATE
    return Operation.EDIT if generates and "image" in roles else operation


def _check_url(name: str, url: str) -> None:
    try:
        checked(url)
    except Forbidden as error:
        raise Wrong(f"The URL of `{name}` is refused: {error}.") from error


def _input(said: Images) -> dict[str, Any]:
    """Return what the engine reads; what the caller left open the engine decides."""
    width, height = _sides(said.size)
    loras = [lora.model_dump() for lora in said.loras] if said.loras else None
    told = {
        "prompt": said.prompt,
        "n": said.n,
        "width": width,
        "height": height,
        "negativePrompt": said.negative_prompt,
        "steps": said.steps,
        "guidance": said.guidance,
        "strength": said.strength,
        "seed": said.seed,
        "scheduler": said.scheduler,
        "loras": loras,
        "controlNet": said.control_net,
        "controlScale": said.control_scale,
        "referenceScale": said.reference_scale,
    }
    return {name: value for name, value in told.items() if value is not None}


def _sides(size: str) -> tuple[int | None, int | None]:
    if size == "auto":
        return None, None
    found = _SIZE.fullmatch(size)
    sides = tuple(map(int, found.groups())) if found else (0,)
    if max(sides) > LARGEST_SIDE or len(sides) != 2:
        raise Wrong(f"`size` is wrong: write WIDTHxHEIGHT up to {LARGEST_SIDE}, or auto.")
    return sides[0], sides[1]


def _seconds(said: Images) -> float:
    """Return the work that it is, which a model's pace turns into seconds."""
    width, height = _sides(said.size)
    area = (width or USUAL_SIDE) * (height or USUAL_SIDE) / USUAL_SIDE**2
    return round(said.n * max(area, 0.05) * (said.steps or USUAL_STEPS) / USUAL_STEPS, 3)
