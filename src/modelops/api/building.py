"""How an artifact is made of a model: what a ModelBuild and a quantized model both say."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field

from modelops.api.base import ApiModel, Name
from modelops.api.resources import Resources

Share = Annotated[str, Field(max_length=10, pattern=r"^[0-9]{1,3}(\.[0-9]{1,6})?$")]
DATASET_PATTERN: Final = "^(builtin:[a-z0-9-]+|pvc://[a-z0-9.-]+/[A-Za-z0-9._/-]+)$"
_ATOMIC: Final = {"x-kubernetes-list-type": "atomic"}


class Calibration(ApiModel):
    """The text that activations are measured on."""

    dataset: str = Field(
        "builtin:python-docs",
        max_length=1024,
        pattern=DATASET_PATTERN,
        description="builtin:python-docs is Python's own documentation; pvc://CLAIM/PATH is a file "
        "of text (.txt, or .jsonl whose lines have `text` or `messages`) on a "
        "PersistentVolumeClaim of the same namespace.",
    )
    samples: int = Field(128, ge=1, le=100_000, description="How many samples are taken.")
    sequence_length: int = Field(
        512, ge=16, le=131_072, description="How many tokens long a sample is."
    )


class Options(ApiModel):
    """How the method works."""

    scheme: str | None = Field(
        None,
        min_length=1,
        max_length=63,
        description="How weights are stored, such as W4A16. Defaults to the method's own.",
    )
    bits: int | None = Field(
        None, ge=1, le=16, description="Bits of a weight. Defaults to the scheme's own."
    )
    group_size: int | None = Field(
        None,
        ge=8,
        le=4096,
        description="How many weights share a scale. Defaults to the scheme's own.",
    )
    ignore: Annotated[list[Name], Field(max_length=256)] = Field(
        default_factory=lambda: ["lm_head"],
        description="Layers that stay as they are, by name or by `re:` and a regular expression.",
        json_schema_extra={**_ATOMIC, "default": ["lm_head"]},
    )
    calibration: Calibration | None = Field(
        None, description="The text that activations are measured on, where the method needs one."
    )


class Gate(ApiModel):
    """How much quality may be lost before no traffic moves."""

    metric: Literal["kl", "perplexity", "agreement", "pixels", "ssim", "cosine", "rank"] | None = (
        Field(
            None,
            description="What is compared; by default what stands first of its kind. Language: kl, "
            "the mean KL divergence of the next token's distribution, in nats; perplexity, the "
            "share by which it rises; agreement, the share of tokens that are no longer the same. "
            "Pictures of the same seeds: pixels, their mean difference as a share of full "
            "brightness; ssim, what is missing to full structural similarity. Embeddings: cosine "
            "and rank, what is missing to the base's vectors and to its order of similarities. "
            "Vision: agreement, the share of answers that are no longer the same.",
        )
    )
    max_drop: Share = Field(
        "0.05", description='The most that may be lost, as a decimal in quotes: "0.05".'
    )
    samples: int = Field(
        32,
        ge=1,
        le=10_000,
        description="How many windows of held-out text, or pictures, are compared.",
    )


class ClaimOutput(ApiModel):
    """The claim that artifacts are kept on."""

    claim_name: Name = Field(
        description="A PersistentVolumeClaim of the same namespace; replicas on several nodes need "
        "one that is ReadWriteMany."
    )


class Output(ApiModel):
    """Where the artifact is kept."""

    claim: ClaimOutput | None = Field(
        None,
        description="Without it the namespace's own claim, modelops-artifacts, which is made when "
        "the first build needs it and which no deletion of an object takes away.",
    )


class Making(ApiModel):
    """How an artifact is made of a model, and what it must be worth."""

    method: str = Field(
        min_length=1,
        max_length=63,
        pattern="^[A-Za-z0-9_]+$",
        description="How it is made, such as GPTQ, AWQ or FP8; `modelops builders` lists all.",
    )
    options: Options = Field(default_factory=Options, description="How the method works.")
    gate: Gate | None = Field(
        None,
        description="How much quality may be lost before no traffic moves. Without it the quality "
        "is measured and judged by nobody.",
    )
    output: Output = Field(
        default_factory=Output, description="Where the artifact is kept, and the source's weights."
    )
    resources: Resources = Field(
        default_factory=Resources,
        description="What the build needs of a node. Of objects that share a build the oldest "
        "decides.",
    )
    deadline_seconds: int = Field(
        21_600, ge=60, le=2_592_000, description="How long the build may take in all."
    )
    retries: int = Field(2, ge=0, le=10, description="How often a build that failed is repeated.")

    def document(self) -> dict[str, Any]:
        """Return it as a manifest has it, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class Quantization(Making):
    """How the weights are made smaller before they are served."""
