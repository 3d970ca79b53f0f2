"""From what was observed to a plan, or to the reason why there is none."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from modelops.api.parts import Accelerator, ServingSpec
from modelops.registry.uri import ClaimSource, Source, parse_uri
from modelops.runtimes.runtime import Command, Device, Runtime, Workload
from modelops.sync.catalogue import Catalogue, Platform
from modelops.sync.observed import CHILD_TYPES, Observed, Ref

WEIGHTS_PATH: Final = "/weights/model"


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """Why an object cannot be served as it stands, and what its author can do."""

    reason: str
    message: str
    action: str

    @property
    def sentence(self) -> str:
        """The cause and the next action in one sentence."""
        return f"{self.message}: {self.action}"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is decided before anything is rendered."""

    spec: ServingSpec
    runtime: Runtime
    source: Source
    served_name: str
    image: str
    fetch_image: str
    device: Device
    accelerator: Accelerator | None
    command: Command
    url: str
    platform: Platform

    @property
    def replicas(self) -> int:
        """How many replicas shall serve."""
        return self.spec.scaling.min_replicas

    @property
    def cached(self) -> bool:
        """Whether the weights are copied into a cache."""
        return not isinstance(self.source, ClaimSource)


def plan(observed: Observed, catalogue: Catalogue) -> Plan:
    """Return the plan for a model.

    Raises Refusal when the object cannot be served as it stands.
    """
    _refuse_foreign(observed)
    spec = _spec(observed)
    runtime = _runtime(spec, observed, catalogue)
    _refuse_reserved(spec, runtime)
    accelerator = _accelerator(spec, catalogue.platform)
    device: Device = "gpu" if accelerator else "cpu"
    served_name = spec.model.name or observed.name
    return Plan(
        spec=spec,
        runtime=runtime,
        source=_source(spec),
        served_name=served_name,
        image=spec.runtime.image or _image(runtime, device, catalogue.platform),
        fetch_image=_named_image("modelops", catalogue.platform),
        device=device,
        accelerator=accelerator,
        command=runtime.command(
            Workload(
                spec=spec,
                served_name=served_name,
                weights_path=WEIGHTS_PATH,
                device=device,
                accelerators=accelerator.count if accelerator else 0,
            )
        ),
        url=_url(observed, runtime, catalogue.platform),
        platform=catalogue.platform,
    )


def _refuse_foreign(observed: Observed) -> None:
    names = (t.ref(observed.namespace, observed.name) for t in CHILD_TYPES)
    foreign = [ref for ref in names if _is_foreign(observed, ref)]
    if foreign:
        raise Refusal(
            "NameConflict",
            f"{foreign[0].kind} {foreign[0].name} exists and is not this model's",
            f"delete or rename that {foreign[0].kind}, or give this {observed.kind.name} "
            "another name",
        )


def _is_foreign(observed: Observed, ref: Ref) -> bool:
    child = observed.children.get(ref)
    return child is not None and not observed.owns(child)


def _spec(observed: Observed) -> ServingSpec:
    try:
        return observed.kind.parse(observed.resource)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in ("spec", *first["loc"]))
        raise Refusal(
            "InvalidSpec",
            f"{where}: {first['msg']}",
            f"correct it; `kubectl explain {observed.kind.singular}.spec` tells what it takes",
        ) from error


def _source(spec: ServingSpec) -> Source:
    try:
        return parse_uri(spec.model.uri)
    except ValueError as error:
        raise Refusal("InvalidUri", str(error), "correct spec.model.uri") from error


def _runtime(spec: ServingSpec, observed: Observed, catalogue: Catalogue) -> Runtime:
    offered = catalogue.serving(observed.kind)
    wanted = spec.runtime.name
    found = next((r for r in offered if wanted in (None, r.name)), None)
    if found:
        return found
    raise Refusal(
        "RuntimeUnknown",
        f"no runtime named {wanted} serves {observed.kind.name}"
        if wanted
        else f"no runtime serves {observed.kind.name}",
        f"set spec.runtime.name to one of: {_listed(r.name for r in offered)}",
    )


def _refuse_reserved(spec: ServingSpec, runtime: Runtime) -> None:
    taken = [a for a in spec.runtime.args if a.split("=")[0] in runtime.reserved_args]
    if taken:
        raise Refusal(
            "ReservedArgument",
            f"spec.runtime.args holds {taken[0]}, which modelops sets itself",
            "remove it; use the field of the spec that stands for it",
        )


def _accelerator(spec: ServingSpec, platform: Platform) -> Accelerator | None:
    chosen = spec.resources.accelerator
    if chosen is None and platform.accelerator:
        return Accelerator(resource_name=platform.accelerator)
    return chosen if chosen and chosen.count else None


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
