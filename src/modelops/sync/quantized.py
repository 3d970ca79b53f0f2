"""A model whose weights are made smaller first: its ModelBuild, and what it serves meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelops.api import conditions as c
from modelops.api.building import Quantization
from modelops.api.builds.modelbuild import ModelBuildSpec
from modelops.api.kind import Kind
from modelops.api.parts import ServingSpec
from modelops.builders.recipe import Options
from modelops.builders.refused import Refused
from modelops.builders.tools import BUILDERS, METHODS
from modelops.runtimes.runtime import Device
from modelops.sync.observed import BUILD, Manifest, Observed
from modelops.sync.refusal import Refusal


@dataclass(frozen=True, slots=True)
class Hold:
    """Why the version that is asked for cannot be deployed yet: what serves now goes on."""

    reason: str
    sentence: str
    stalled: bool = False


def build_spec(spec: ServingSpec, kind: Kind, device: Device) -> dict[str, Any] | None:
    """Return the spec of the ModelBuild that a model needs; None when it needs none.

    Raises Refusal when no builder makes what the kind serves by that method, or no engine serves it
    on that device.
    """
    quantization = spec.quantization
    if quantization is None:
        return None
    _refuse_method(quantization.method, kind)
    _refuse_scheme(quantization, device)
    source = spec.model.model_dump(
        mode="json",
        by_alias=True,
        exclude_none=True,
        include={"uri", "revision", "endpoint", "secret_ref"},
    )
    claim = spec.cache.claim_name
    shared = {"output": {"claim": {"claimName": claim}}} if claim else {}
    given = quantization.document()
    kept = shared if quantization.output.claim is None else {}
    return {"source": source, **given, **kept}


def wanted_format(spec: ServingSpec) -> str:
    """Return how the weights that are to be served are stored, as far as the spec tells."""
    method = spec.quantization.method if spec.quantization else ""
    return BUILDERS[METHODS[method]].format if method in METHODS else "safetensors"


def artifact(observed: Observed, wanted: Mapping[str, Any]) -> str | Hold:
    """Return the URI of the artifact that the model's ModelBuild made, or why there is none yet."""
    build = observed.child(BUILD)
    if build is None or not _current(build, wanted):
        return Hold("Building", "its ModelBuild is being made")
    ready = c.find(build, c.READY) or {}
    made = (build.get("status") or {}).get("artifact")
    if ready.get("status") == "True" and made:
        return str(made)
    stalled = (c.find(build, c.STALLED) or {}).get("status") == "True"
    reason = str(ready["reason"]) if stalled else "Building"
    told = ready.get("message", "nothing is known of it yet")
    return Hold(reason, f"ModelBuild {build['metadata']['name']}: {told}", stalled)


def served_from(spec: ServingSpec, uri: str) -> ServingSpec:
    """Return the spec of a model that is served from an artifact on a claim."""
    there = {"uri": uri, "revision": None, "endpoint": None, "secret_ref": None}
    return spec.model_copy(update={"model": spec.model.model_copy(update=there)})


def _current(build: Manifest, wanted: Mapping[str, Any]) -> bool:
    """Tell whether a ModelBuild's status speaks of the build that is wanted."""
    generation = build["metadata"].get("generation", 1)
    if (build.get("status") or {}).get("observedGeneration") != generation:
        return False
    try:
        return _read(build["spec"]) == _read(wanted)
    except ValueError:
        return False


def _read(spec: Mapping[str, Any]) -> ModelBuildSpec:
    return ModelBuildSpec.model_validate(spec)


def _refuse_method(method: str, kind: Kind) -> None:
    fitting = sorted(m for m, name in METHODS.items() if kind.name in BUILDERS[name].kinds)
    if method not in fitting:
        raise Refusal(
            "MethodUnknown",
            f"no builder makes what a {kind.name} serves by the method {method}",
            f"choose one of {', '.join(fitting) or '(none)'}",
        )


def _refuse_scheme(quantization: Quantization, device: Device) -> None:
    """Refuse what could be built and then not be served."""
    builder = BUILDERS[METHODS[quantization.method]]
    given = quantization.options
    try:
        method = builder.method(quantization.method)
        scheme = method.scheme(Options(scheme=given.scheme, bits=given.bits))
    except Refused as refused:
        raise Refusal(refused.reason, refused.message, refused.action) from refused
    if device not in scheme.served_on:
        served = (s for m in builder.methods.values() for s in m.schemes if device in s.served_on)
        fitting = ", ".join(dict.fromkeys(s.name for s in served))
        scheme_there = f"choose a scheme that one serves there: {fitting}"
        raise Refusal(
            "SchemeUnserved",
            f"no engine of the platform serves {scheme.name} on {device}",
            scheme_there if fitting else "choose another method, or another device",
        )
