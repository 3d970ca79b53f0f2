"""From what was observed to a plan, or to the reason why there is none."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import ValidationError

from modelops.api.naming import NAME_HELP, named
from modelops.api.parts import ServingSpec
from modelops.registry.uri import ClaimSource, Source, parse_uri
from modelops.runtimes.runtime import Command, Device, Runtime, Workload
from modelops.scaling.policy import Policy
from modelops.sync.attachment import attached
from modelops.sync.catalogue import Catalogue, Platform
from modelops.sync.claim import claim_spec
from modelops.sync.keda import keda_children
from modelops.sync.merge import depth
from modelops.sync.observed import (
    BUDGET,
    BUILD,
    CLAIM,
    DEPLOYMENT,
    NETWORK,
    SERVICE,
    ChildType,
    Manifest,
    Observed,
)
from modelops.sync.quantized import Hold, artifact, build_spec, served_from, wanted_format
from modelops.sync.refusal import Refusal, invalid
from modelops.sync.scale import Scale, scale

__all__ = ["Accelerators", "Plan", "Refusal", "accelerators", "plan"]

WEIGHTS_PATH: Final = "/weights/model"
DEFAULT_ACCELERATOR: Final = "nvidia.com/gpu"
DEEPEST: Final = 50
"""Levels of a podTemplate; a PodTemplateSpec has no more than about 15."""


@dataclass(frozen=True, slots=True)
class Accelerators:
    """The accelerators of one replica: at least one, of one extended resource."""

    resource_name: str
    count: int
    product: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is decided before anything is rendered.

    ``spec`` is that of the version to deploy: of a quantized model it names the artifact.
    """

    spec: ServingSpec
    runtime: Runtime
    source: Source
    served_name: str
    image: str
    fetch_image: str
    device: Device
    accelerator: Accelerators | None
    claim: Mapping[str, Any] | None
    command: Command
    url: str
    platform: Platform
    scale: Scale
    extra: tuple[ChildType, ...] = ()
    """The children of kinds that a cluster may lack."""
    build: Mapping[str, Any] | None = None
    """The spec of the ModelBuild that makes what is served."""
    hold: Hold | None = None
    """Why that cannot be deployed yet; None when nothing stands in the way."""

    @property
    def replicas(self) -> int:
        """How many replicas shall serve."""
        return self.scale.replicas

    @property
    def children(self) -> tuple[ChildType, ...]:
        """The children that the model has, in the order in which they are applied."""
        claim = (CLAIM,) if self.claim else ()
        budget = (BUDGET,) if self.spec.scaling.maximum > 1 else ()
        # Before the pods that it guards.
        network = (NETWORK,) if self.platform.callers else ()
        build = (BUILD,) if self.build else ()
        deployment = () if self.hold else (DEPLOYMENT,)
        return (*claim, *build, SERVICE, *network, *deployment, *budget, *self.extra)

    @property
    def cached(self) -> bool:
        """Whether the weights are copied into a cache."""
        return not isinstance(self.source, ClaimSource)


def plan(observed: Observed, catalogue: Catalogue, now: datetime) -> Plan:
    """Return the plan for a model.

    Raises Refusal when the object cannot be served as it stands.
    """
    _refuse_name(observed)
    spec = _spec(observed)
    runtime = _runtime(spec, observed, catalogue)
    _refuse_reserved(spec, runtime)
    _refuse_deep(spec)
    _refuse_jobs(runtime, catalogue.platform)
    planned = _planned(observed, catalogue.platform, spec, runtime, _floor(spec, now))
    _refuse_foreign(observed, planned)
    return planned


def _planned(
    observed: Observed, platform: Platform, spec: ServingSpec, runtime: Runtime, floor: int
) -> Plan:
    accelerator = accelerators(spec, platform)
    device: Device = "gpu" if accelerator else "cpu"
    build = build_spec(spec, observed.kind, device)
    made = artifact(observed, build) if build else None
    hold = made if isinstance(made, Hold) else None
    spec = served_from(spec, made) if isinstance(made, str) else spec
    source = _source(spec)
    served_name = spec.model.name or observed.name
    return Plan(
        spec=spec,
        runtime=runtime,
        source=source,
        served_name=served_name,
        image=spec.runtime.image or _image(runtime, device, platform),
        fetch_image=_named_image("modelops", platform),
        device=device,
        accelerator=accelerator,
        claim=_claim(observed, spec, source, platform)
        if build is None
        else _kept(observed, spec, platform),
        command=runtime.command(
            Workload(
                spec=spec,
                served_name=served_name,
                weights_path=WEIGHTS_PATH,
                device=device,
                accelerators=accelerator.count if accelerator else 0,
            )
        ),
        url=_url(observed, runtime, platform),
        platform=platform,
        scale=scale(spec.scaling, observed.child(DEPLOYMENT), floor),
        extra=(
            *attached(observed, platform),
            *keda_children(spec.scaling, observed, platform.scaler),
        ),
        build=build,
        hold=hold,
    )


def _refuse_name(observed: Observed) -> None:
    if not named(observed.name):
        raise Refusal("InvalidName", f"metadata.name: {NAME_HELP}", "give it another name")


def _refuse_foreign(observed: Observed, planned: Plan) -> None:
    """Refuse to take over what is not ours; the watch does not see it leave, so look again."""
    for child_type in planned.children:
        child = observed.child(child_type)
        if child and not observed.owns(child):
            raise _leaving(child) if _left_behind(observed, child) else _taken(child)


def _left_behind(observed: Observed, child: Manifest) -> bool:
    """Tell whether an object goes by itself: with an earlier model of this one's name."""
    meta = child["metadata"]
    owners = ((o["kind"], o["name"]) for o in meta.get("ownerReferences", []))
    return "deletionTimestamp" in meta or (observed.kind.name, observed.name) in owners


def _leaving(child: Manifest) -> Refusal:
    return Refusal(
        "NameLeaving",
        f"an earlier {child['kind']} {child['metadata']['name']} is still being deleted",
        "wait until the pods that use it have drained; the model is deployed then",
        recheck_seconds=2,
        passing=True,
    )


def _taken(child: Manifest) -> Refusal:
    return Refusal(
        "NameConflict",
        f"{child['kind']} {child['metadata']['name']} exists and is not this model's",
        f"delete that {child['kind']}, or give this model another name",
        recheck_seconds=30,
    )


def _spec(observed: Observed) -> ServingSpec:
    try:
        return observed.kind.parse(observed.resource)
    except ValidationError as error:
        raise invalid(observed.kind, error) from error


def _floor(spec: ServingSpec, now: datetime) -> int:
    """Return the fewest replicas at that time, schedules included."""
    try:
        return Policy.of(spec.scaling).floor(now.timestamp())
    except ValueError as error:
        raise Refusal("InvalidScaling", str(error), "correct spec.scaling") from error


def _source(spec: ServingSpec) -> Source:
    try:
        return parse_uri(spec.model.uri)
    except ValueError as error:
        raise Refusal("InvalidUri", str(error), "correct spec.model.uri") from error


def _runtime(spec: ServingSpec, observed: Observed, catalogue: Catalogue) -> Runtime:
    offered = catalogue.serving(observed.kind)
    wanted = spec.runtime.name
    held = wanted_format(spec)
    reading = tuple(r for r in offered if held in r.formats)
    named = tuple(r for r in offered if r.name == wanted)
    if wanted and not named:
        raise _unknown(f"no runtime named {wanted} serves {observed.kind.name}", offered)
    if spec.quantization and named and named[0] not in reading:
        raise Refusal(
            "FormatUnserved",
            f"runtime {wanted} does not read {held}, which {spec.quantization.method} writes",
            f"set spec.runtime.name to one of: {_listed(r.name for r in reading)}",
        )
    if not named and not reading:
        raise _unknown(f"no runtime serves {observed.kind.name} from {held}", offered)
    return (*named, *reading)[0]


def _unknown(fault: str, offered: Iterable[Runtime]) -> Refusal:
    action = f"set spec.runtime.name to one of: {_listed(r.name for r in offered)}"
    return Refusal("RuntimeUnknown", fault, action)


def _refuse_reserved(spec: ServingSpec, runtime: Runtime) -> None:
    taken = [a for a in spec.runtime.args if _stands_for(_flag(a), runtime.reserved_args)]
    if taken:
        raise Refusal(
            "ReservedArgument",
            f"spec.runtime.args holds {taken[0]}, which modelops sets itself",
            "remove it; use the field of the spec that stands for it",
        )


def _refuse_deep(spec: ServingSpec) -> None:
    """Refuse what is nested deeper than Python recurses; the schema cannot."""
    if spec.pod_template and depth(spec.pod_template.patch()) > DEEPEST:
        raise Refusal(
            "PodTemplateTooDeep",
            f"spec.podTemplate is nested more than {DEEPEST} levels deep",
            "remove what no PodTemplateSpec has; `kubectl explain pod.spec` tells its fields",
        )


def _refuse_jobs(runtime: Runtime, platform: Platform) -> None:
    if runtime.jobs and platform.jobs is None:
        raise Refusal(
            "JobsUnavailable",
            f"runtime {runtime.name} does jobs, and the platform has no place for them",
            "ask your cluster's operator to set the chart's values jobs.redis.url and "
            "jobs.s3.bucket",
        )


def _stands_for(flag: str, reserved: tuple[str, ...]) -> bool:
    """Tell whether a flag is a reserved one, or a beginning that argparse takes for it."""
    shortened = len(flag) > len("--") and flag.startswith("--")
    return flag in reserved or (shortened and any(name.startswith(flag) for name in reserved))


def _flag(argument: str) -> str:
    """Return the name of a command line flag; `--max_len` and `--max-len` are the same."""
    return argument.split("=", maxsplit=1)[0].replace("_", "-")


def accelerators(spec: ServingSpec, platform: Platform) -> Accelerators | None:
    """Return the accelerators of one replica; None serves on CPU."""
    chosen = spec.resources.accelerator
    if chosen is None:
        return Accelerators(platform.accelerator, 1) if platform.accelerator else None
    if not chosen.count:
        return None
    resource_name = chosen.resource_name or platform.accelerator or DEFAULT_ACCELERATOR
    return Accelerators(resource_name, chosen.count, chosen.product)


def _claim(
    observed: Observed, spec: ServingSpec, source: Source, platform: Platform
) -> Manifest | None:
    cache = spec.cache
    in_place = isinstance(source, ClaimSource) or cache.claim_name is not None
    if in_place or cache.medium != "PersistentVolumeClaim":
        return None
    found = observed.child(CLAIM)
    return claim_spec(cache, platform, found if found and observed.owns(found) else None)


def _kept(observed: Observed, spec: ServingSpec, platform: Platform) -> Manifest | None:
    """Return the claim that a model had before it was quantized: going back fetches nothing."""
    found = observed.child(CLAIM)
    if found is None or not observed.owns(found) or spec.cache.medium != "PersistentVolumeClaim":
        return None
    return claim_spec(spec.cache, platform, found)


def _image(runtime: Runtime, device: Device, platform: Platform) -> str:
    if device not in runtime.images:
        raise Refusal(
            "DeviceUnsupported",
            f"runtime {runtime.name} does not run on {device}",
            "choose another spec.runtime.name or spec.resources.accelerator",
        )
    return _named_image(runtime.images[device], platform)


def _named_image(name: str, platform: Platform) -> str:
    if name not in platform.images:
        raise Refusal(
            "ImageUnknown",
            f"the platform has no image named {name}",
            f"ask your cluster's operator to set the chart's value images.{name}, or set "
            "spec.runtime.image",
        )
    return platform.images[name]


def _url(observed: Observed, runtime: Runtime, platform: Platform) -> str:
    host = f"{observed.name}.{observed.namespace}.svc.{platform.cluster_domain}"
    return f"http://{host}{runtime.api_path}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "(none)"
