"""DiffusionModel: pictures from text and from pictures."""

from typing import Final, Literal

from pydantic import Field

from modelops.api.base import ApiModel, rule, rules
from modelops.api.parts import ServingSpec
from modelops.api.serving import NAME_RULE, ServingKind

WIDEST: Final = 16_384
MOST_STEPS: Final = 1000
"""Noise has so many levels in training: no scheduler can take more."""


class ImageDefaults(ApiModel):
    """What a request takes that does not say; what is not given here the model's family decides."""

    width: int | None = Field(None, ge=16, le=WIDEST, description="Width in pixels.")
    height: int | None = Field(None, ge=16, le=WIDEST, description="Height in pixels.")
    steps: int | None = Field(
        None, ge=1, le=MOST_STEPS, description="Steps from noise to picture: more take longer."
    )
    guidance_tenths: int | None = Field(
        None,
        ge=0,
        le=1000,
        description="How closely a picture keeps to its prompt, in tenths: 75 is a guidance of "
        "7.5. 0 for models that were distilled without.",
    )
    scheduler: str | None = Field(
        None,
        min_length=1,
        max_length=63,
        pattern="^[a-z0-9-]+$",
        description="The way from noise to picture, such as euler, euler-a, dpmpp-2m-karras, "
        "unipc, lcm or flow-euler. Defaults to the model's own.",
    )


class ImageLimits(ApiModel):
    """What a request may ask for at most; more is refused before any work."""

    max_width: int | None = Field(
        None, ge=16, le=WIDEST, description="Widest picture. Defaults to twice the default width."
    )
    max_height: int | None = Field(
        None, ge=16, le=WIDEST, description="Highest picture. Defaults to twice the default height."
    )
    max_steps: int | None = Field(
        None, ge=1, le=MOST_STEPS, description="Most steps. Defaults to 100."
    )
    max_images: int = Field(4, ge=1, le=64, description="Most pictures of one request.")


class Batching(ApiModel):
    """How requests of the same shape are worked on at once."""

    max_images: int = Field(
        4,
        ge=1,
        le=64,
        description="Most pictures at once: each takes memory of the accelerator. A replica takes "
        "so many jobs at a time.",
    )
    wait_milliseconds: int = Field(
        0,
        ge=0,
        le=10_000,
        description="How long to wait for more of the same shape before work begins. Those that "
        "come while the accelerator works go together in any case.",
    )


class ImageMemory(ApiModel):
    """What is given up so that a model needs less memory of the accelerator."""

    offload: Literal["None", "Component", "Layer"] = Field(
        "None",
        description="Component keeps in the accelerator only the part of the model that is at "
        "work, Layer only the layer: slower, and much slower. Both need an accelerator.",
    )
    tiling: Literal["Off", "On"] = Field(
        "Off", description="On decodes large pictures piece by piece."
    )


class Image(ApiModel):
    """What only a model of pictures has."""

    model_config = rules(
        *(
            rule(
                f"!has(self.defaults.{usual}) || !has(self.limits.max{usual.capitalize()}) "
                f"|| self.defaults.{usual} <= self.limits.max{usual.capitalize()}",
                f"the default {usual} is more than the limit: raise "
                f"limits.max{usual.capitalize()} or lower defaults.{usual}",
            )
            for usual in ("width", "height", "steps")
        ),
    )

    defaults: ImageDefaults = Field(
        default_factory=ImageDefaults, description="What a request takes that does not say."
    )
    limits: ImageLimits = Field(
        default_factory=ImageLimits, description="What a request may ask for at most."
    )
    safety: Literal["Block", "Flag", "Off"] = Field(
        "Block",
        description="What happens to pictures that the safety checker finds not to be for "
        "everyone: Block gives none of them, Flag gives and marks them, Off checks nothing. Block "
        "and Flag need a checker, in the folder safety_checker of the weights.",
    )
    batching: Batching = Field(
        default_factory=Batching,
        description="How requests of the same shape are worked on at once.",
    )
    memory: ImageMemory = Field(
        default_factory=ImageMemory,
        description="What is given up so that a model needs less memory of the accelerator.",
    )
    compilation: Literal["Off", "On"] = Field(
        "Off",
        description="On compiles the model when it starts: slower to start, faster to work. Needs "
        "an accelerator.",
    )
    quantization: Literal["None", "Int8WeightOnly", "Float8WeightOnly"] = Field(
        "None",
        description="In how few bits the weights are kept in memory; they are made smaller when "
        "the model starts.",
    )


class DiffusionModelSpec(ServingSpec):
    """The spec of a DiffusionModel."""

    image: Image = Field(default_factory=Image, description="What only a model of pictures has.")


KIND: Final = ServingKind(
    name="DiffusionModel",
    plural="diffusionmodels",
    short_name="dm",
    description="DiffusionModel makes pictures from text and from pictures, by jobs that wait in "
    "a queue.",
    spec=DiffusionModelSpec,
    rules=(
        NAME_RULE,
        rule(
            "!has(self.spec.scaling) || !has(self.spec.scaling.targets) "
            "|| !has(self.spec.scaling.targets.kvCachePercent) "
            "&& !has(self.spec.scaling.targets.timeToFirstTokenMilliseconds)",
            "a DiffusionModel has jobs and no tokens: write spec.scaling.targets.queueSeconds, "
            "queueDepth or concurrency instead of kvCachePercent and "
            "timeToFirstTokenMilliseconds",
        ),
    ),
    jobs=True,
)
