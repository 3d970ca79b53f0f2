"""What is to be built, as one JSON document: the contract of the operator and the container."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.dataclasses import dataclass

from modelops.builders.refused import Refused

BUILTIN: Final = "builtin:python-docs"
"""The text that every builder brings: Python's own documentation, as `help()` shows it."""

Metric = Literal["kl", "perplexity", "agreement", "pixels", "ssim", "cosine", "rank"]

_STRICT: Final = ConfigDict(extra="forbid", alias_generator=to_camel, populate_by_name=True)
_Word = Annotated[str, Field(min_length=1, max_length=1024)]
_Share = Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,6})?$")]


@dataclass(frozen=True, slots=True, config=_STRICT)
class Source:
    """The model to build from.

    ``digest`` changes with the content: the address of the snapshot, or what else tells it.
    ``path`` is where the files lie below the folder that the container is given.
    """

    uri: _Word
    digest: _Word
    revision: str | None = None
    path: str = ""


@dataclass(frozen=True, slots=True, config=_STRICT)
class Calibration:
    """The text that activations are measured on: so many samples of so many tokens each."""

    dataset: _Word = BUILTIN
    samples: Annotated[int, Field(ge=1, le=100_000)] = 128
    sequence_length: Annotated[int, Field(ge=16, le=131_072)] = 512


@dataclass(frozen=True, slots=True, config=_STRICT)
class Options:
    """How to build; None is what the method does by default. ``ignore`` names layers to spare."""

    scheme: _Word | None = None
    bits: Annotated[int, Field(ge=1, le=16)] | None = None
    group_size: Annotated[int, Field(ge=8, le=4096)] | None = None
    ignore: tuple[_Word, ...] = ("lm_head",)
    calibration: Calibration | None = None


@dataclass(frozen=True, slots=True, config=_STRICT)
class Target:
    """What the artifact is for: a GPU product, where it serves no other."""

    product: str | None = None


@dataclass(frozen=True, slots=True, config=_STRICT)
class Gate:
    """How much quality may be lost before no traffic moves.

    ``max_drop`` is a decimal: nats a token for `kl`, the share by which `perplexity` rises, the
    share of a picture's full brightness for `pixels`, and for all others what is missing to 1.
    ``samples`` are windows of held-out text, or pictures. Without a ``metric`` it is the builder's.
    """

    metric: Metric | None = None
    max_drop: _Share = "0.05"
    samples: Annotated[int, Field(ge=1, le=10_000)] = 32

    @property
    def limit(self) -> Decimal:
        """The most that may be lost."""
        return Decimal(self.max_drop)


@dataclass(frozen=True, slots=True, config=_STRICT)
class Recipe:
    """All that an artifact depends on, and the gate that judges it."""

    source: Source
    builder: _Word
    builder_image: _Word
    method: _Word
    options: Options = Options()
    target: Target = Target()
    gate: Gate = Gate()


_RECIPE: Final = TypeAdapter(Recipe)


def read_recipe(text: str | bytes) -> Recipe:
    """Read a recipe. Raises Refused (RecipeInvalid)."""
    try:
        return _RECIPE.validate_json(text)
    except ValidationError as error:
        raise _invalid(error) from error


def as_recipe(document: Mapping[str, Any]) -> Recipe:
    """Read a recipe of a document. Raises Refused (RecipeInvalid)."""
    return read_recipe(json.dumps(document))


def as_document(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as JSON has it, without what is not set."""
    document: dict[str, Any] = _RECIPE.dump_python(
        recipe, mode="json", by_alias=True, exclude_none=True
    )
    return document


def digest(recipe: Recipe) -> str:
    """Return the artifact's address, as hex: the sha256 of all that decides its content.

    The image counts by its digest where it has one. What the source is called and the gate do not
    count: another gate judges the same artifact anew. Complete the recipe first
    (``Builder.complete``), so that a default and the same value written out are one.
    """
    neutral = replace(recipe, gate=Gate(), source=Source(uri="-", digest=recipe.source.digest))
    image = recipe.builder_image.rpartition("@")[2] or recipe.builder_image
    fixed = replace(neutral, builder_image=image)
    text = json.dumps(as_document(fixed), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def job_name(address: str) -> str:
    """Return the name of the Job that makes the artifact with this digest."""
    return f"mb-{address[:12]}"


def _invalid(error: ValidationError) -> Refused:
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"])) or "the recipe"
    return Refused(
        "RecipeInvalid", f"{place}: {first['msg']}", "correct the field; the reference lists them"
    )
