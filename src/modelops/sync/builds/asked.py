"""What a ModelBuild asks for: its recipe, and the address of the artifact that comes of it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from modelops.api.builds.modelbuild import ModelBuildSpec
from modelops.api.kind import Kind
from modelops.builders.builder import Builder
from modelops.builders.recipe import Recipe, as_recipe, digest
from modelops.builders.refused import Refused
from modelops.builders.tools import BUILDERS, METHODS
from modelops.registry.uri import HubSource, Source, parse_uri
from modelops.sync.catalogue import Platform
from modelops.sync.refusal import Refusal, invalid


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be made: the complete recipe, and ``address``, its digest as hex."""

    spec: ModelBuildSpec
    source: Source
    builder: Builder
    recipe: Recipe
    address: str


def asked(kind: Kind, resource: Mapping[str, Any], platform: Platform) -> Asked:
    """Return what a ModelBuild asks for. Raises Refusal.

    One that has begun with an image of the builder stays with it, so that an upgrade of the
    platform builds nothing anew.
    """
    spec = _spec(kind, resource)
    source = _source(spec)
    _refuse_dataset(spec)
    builder = _builder(spec)
    status = resource.get("status") or {}
    kept = (status.get("lineage") or {}).get("builderImage")
    if kept and status.get("digest"):
        before = _asked(spec, source, builder, str(kept))
        if before.address == status["digest"]:
            return before
    return _asked(spec, source, builder, _image(builder, platform))


def _asked(spec: ModelBuildSpec, source: Source, builder: Builder, image: str) -> Asked:
    try:
        recipe = builder.complete(as_recipe(_document(spec, source, builder, image)))
        builder.check(recipe)
    except Refused as refused:
        raise Refusal(refused.reason, refused.message, refused.action) from refused
    return Asked(spec, source, builder, recipe, digest(recipe))


def _document(spec: ModelBuildSpec, source: Source, builder: Builder, image: str) -> dict[str, Any]:
    said = spec.document()
    known: dict[str, Any] = {
        name: said[name] for name in ("method", "options", "target", "gate") if name in said
    }
    revision = {"revision": spec.source.revision} if spec.source.revision else {}
    where = {"uri": spec.source.uri, "digest": _source_digest(spec, source), **revision}
    return {"source": where, "builder": builder.name, "builderImage": image, **known}


def _source_digest(spec: ModelBuildSpec, source: Source) -> str:
    """Return what stands for the source's content: the words by which it is found."""
    revision = spec.source.revision
    if isinstance(source, HubSource):
        revision = revision or source.revision
        words = ["hf", source.repository, revision, spec.source.endpoint]
    else:
        words = [str(source), spec.source.endpoint]
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


def _spec(kind: Kind, resource: Mapping[str, Any]) -> ModelBuildSpec:
    try:
        return ModelBuildSpec.model_validate(resource.get("spec", {}))
    except ValidationError as error:
        raise invalid(kind, error) from error


def _source(spec: ModelBuildSpec) -> Source:
    try:
        return parse_uri(spec.source.uri)
    except ValueError as error:
        raise Refusal("InvalidUri", str(error), "correct spec.source.uri") from error


def _refuse_dataset(spec: ModelBuildSpec) -> None:
    calibration = spec.options.calibration
    if calibration is None or calibration.dataset.startswith("builtin:"):
        return
    try:
        parse_uri(calibration.dataset)
    except ValueError as error:
        action = "correct spec.options.calibration.dataset"
        raise Refusal("InvalidUri", str(error), action) from error


def _builder(spec: ModelBuildSpec) -> Builder:
    if spec.method not in METHODS:
        raise Refusal(
            "MethodUnknown",
            f"no builder knows the method {spec.method}",
            f"choose one of {', '.join(sorted(METHODS))}",
        )
    return BUILDERS[METHODS[spec.method]]


def _image(builder: Builder, platform: Platform) -> str:
    if builder.image not in platform.images:
        raise Refusal(
            "ImageUnknown",
            f"the platform has no image named {builder.image}",
            f"ask your cluster's operator to set the chart's value images.{builder.image}",
        )
    return platform.images[builder.image]
