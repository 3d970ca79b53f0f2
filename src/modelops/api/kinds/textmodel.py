"""TextModel: chat, completions and whatever else a text engine answers."""

from typing import Final

from pydantic import Field

from modelops.api.base import ApiModel, rule
from modelops.api.parts import ServingSpec
from modelops.api.serving import NAME_RULE, ServingKind


class Text(ApiModel):
    """What only a text model has."""

    context_length: int | None = Field(
        None,
        ge=1,
        le=100_000_000,
        description="Longest prompt plus answer in tokens. Defaults to what the model's own "
        "configuration says; a shorter one saves memory.",
    )


class TextModelSpec(ServingSpec):
    """The spec of a TextModel."""

    text: Text = Field(default_factory=Text, description="What only a text model has.")


KIND: Final = ServingKind(
    name="TextModel",
    plural="textmodels",
    short_name="tm",
    description="TextModel serves a language model behind an OpenAI-compatible endpoint.",
    spec=TextModelSpec,
    rules=(
        NAME_RULE,
        rule(
            "!has(self.spec.scaling) || !has(self.spec.scaling.targets) "
            "|| !has(self.spec.scaling.targets.queueSeconds)",
            "a TextModel has requests and no jobs: write spec.scaling.targets.queueDepth or "
            "concurrency instead of queueSeconds",
        ),
    ),
)
