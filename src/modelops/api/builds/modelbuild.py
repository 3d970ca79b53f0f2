"""ModelBuild: an artifact made of a model on the cluster, once for each recipe."""

from typing import Final

from pydantic import Field

from modelops.api.base import ApiModel, rules
from modelops.api.building import Making
from modelops.api.kind import AGE, READINESS, Column, Kind
from modelops.api.source import Credentials, Endpoint, source_rules
from modelops.api.status import Status


class Source(ApiModel):
    """Where the weights come from."""

    model_config = rules(*source_rules("spec.source"))

    uri: str = Field(
        min_length=1,
        max_length=1024,
        description="hf://OWNER/NAME[@REVISION] on the Hugging Face hub, s3://BUCKET/PREFIX in an "
        "S3 store, or pvc://CLAIM/PATH on a PersistentVolumeClaim of the same namespace. What it "
        "stands for is found out once and then kept: name a revision, or another path, to build "
        "anew from what has changed.",
        examples=["hf://Qwen/Qwen3-8B"],
    )
    revision: str | None = Field(
        None, min_length=1, max_length=255, description="Branch, tag or commit of an hf:// source."
    )
    endpoint: Endpoint = None
    secret_ref: Credentials = None


class Target(ApiModel):
    """What the artifact is for."""

    product: str | None = Field(
        None,
        min_length=1,
        max_length=63,
        description="The GPU that it is for, by the nodes' label nvidia.com/gpu.product, where it "
        "serves on no other. The build runs on such a node.",
    )


class ModelBuildSpec(Making):
    """The spec of a ModelBuild."""

    source: Source = Field(description="Where the weights come from.")
    target: Target = Field(default_factory=Target, description="What the artifact is for.")


class BuildProgress(ApiModel):
    """How far the build is."""

    stage: str = Field(description="What it is doing: fetch, quantize, evaluate and so on.")
    percent: int | None = Field(
        None, description="Share of fetching, and then of all the rest, that is done."
    )
    eta_seconds: int | None = Field(None, description="Seconds that the rest may take.")


class Quality(ApiModel):
    """What was measured of the artifact beside the model that it is made of; decimals."""

    kl: str | None = Field(
        None, description="Mean KL divergence of the next token's distribution, in nats."
    )
    perplexity_before: str | None = Field(None, description="Perplexity of the source.")
    perplexity_after: str | None = Field(None, description="Perplexity of the artifact.")
    agreement: str | None = Field(
        None, description="Share of tokens, or of inputs, for which both find the same likeliest."
    )
    pixels: str | None = Field(
        None, description="Mean difference of pictures of the same seeds, as a share of brightness."
    )
    ssim: str | None = Field(
        None, description="Mean structural similarity of pictures of the same seeds."
    )
    cosine: str | None = Field(None, description="Mean cosine of both embeddings of one input.")
    rank: str | None = Field(
        None, description="Rank correlation of the similarities that both find among inputs."
    )


class Lineage(ApiModel):
    """What the artifact was made of, and by what."""

    source_uri: str = Field(description="Where the weights came from.")
    source_revision: str | None = Field(None, description="The revision that they had.")
    source_digest: str | None = Field(None, description="Content address of the weights.")
    builder: str = Field(description="The builder.")
    builder_image: str = Field(
        description="Its image. An object that has begun with one stays with it."
    )
    method: str = Field(description="The method.")
    options: str = Field(description="All its options, as JSON.")


class ModelBuildStatus(Status):
    """What the operator saw of a ModelBuild when it last looked."""

    digest: str | None = Field(None, description="Content address of the artifact.")
    job: str | None = Field(None, description="The Job that makes it, in the same namespace.")
    artifact: str | None = Field(
        None, description="Where the artifact is, as pvc://CLAIM/PATH; models can be served of it."
    )
    progress: BuildProgress | None = Field(None, description="How far the build is.")
    bytes_before: int | None = Field(None, description="Bytes of the source's weights.")
    bytes_after: int | None = Field(None, description="Bytes of the artifact's weights.")
    quality: Quality | None = Field(None, description="What was measured of its quality.")
    lineage: Lineage | None = Field(None, description="What it was made of, and by what.")
    seconds: int | None = Field(None, description="Seconds that the build took.")
    gpu_seconds: int | None = Field(
        None, description="Seconds that it took, times the accelerators that it had."
    )


KIND: Final = Kind(
    name="ModelBuild",
    plural="modelbuilds",
    short_name="mb",
    description="ModelBuild makes an artifact of a model on the cluster: quantized weights, with "
    "their quality measured. Equal recipes are built once.",
    spec=ModelBuildSpec,
    status=ModelBuildStatus,
    columns=(
        Column("Source", ".spec.source.uri"),
        Column("Method", ".spec.method"),
        *READINESS,
        Column("Percent", ".status.progress.percent", "integer"),
        Column("Job", ".status.job", priority=1),
        *AGE,
    ),
)
