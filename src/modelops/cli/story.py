"""A plan told in words."""

from collections.abc import Iterator

from modelops.registry.uri import ClaimSource
from modelops.sync.observed import CLAIM, Observed
from modelops.sync.plan import Plan


def story(observed: Observed, plan: Plan) -> Iterator[str]:
    """Yield the lines that explain a plan, one decision each."""
    yield f"  serves   {plan.spec.model.uri} as `{plan.served_name}`"
    yield f"  at       {plan.url}"
    yield f"  engine   {plan.runtime.name} on {_device(plan)}, image {plan.image}"
    yield f"  command  {' '.join([*plan.command.args, *plan.spec.runtime.args])}"
    yield f"  weights  {_weights(observed, plan)}"
    if plan.build:
        yield f"  smaller  by {plan.build['method']}: a ModelBuild makes them before they serve"
    yield f"  replicas {_scaling(plan)}"
    yield f"  updates  {_rollout(plan)}"


def _scaling(plan: Plan) -> str:
    scaling = plan.spec.scaling
    if not scaling.maximum:
        return "0 (turned off by maxReplicas)"
    if scaling.state == "Paused":
        return f"{plan.replicas} (paused)"
    if not scaling.automatic:
        return str(plan.replicas)
    idle = f", none after {scaling.idle_after_seconds} s without a request"
    return f"{scaling.minimum} to {scaling.maximum}{'' if scaling.minimum else idle}"


def _device(plan: Plan) -> str:
    if not plan.accelerator:
        return "CPU"
    product = f" ({plan.accelerator.product})" if plan.accelerator.product else ""
    return f"{plan.accelerator.count} x {plan.accelerator.resource_name}{product}"


def _weights(observed: Observed, plan: Plan) -> str:
    cache = plan.spec.cache
    if plan.hold:
        return "those of the artifact that is made of them, verified by checksum"
    if isinstance(plan.source, ClaimSource):
        return f"read in place from PersistentVolumeClaim {plan.source.claim}"
    verified = "verified by checksum"
    if cache.medium == "EmptyDir":
        return f"fetched for each pod, {verified}"
    if cache.claim_name:
        return f"fetched once into PersistentVolumeClaim {cache.claim_name}, {verified}"
    size = cache.size or plan.platform.cache_size
    claim = observed.name + CLAIM.suffix
    return f"fetched once into PersistentVolumeClaim {claim} ({size}), {verified}"


def _rollout(plan: Plan) -> str:
    rollout = plan.spec.rollout
    finish = f"{rollout.drain_seconds} s to finish"
    if rollout.strategy == "Recreate":
        return f"the old leave first and get {finish}; nothing serves until the new are ready"
    new = f"{rollout.max_surge or 1} new beside the old"
    return f"{new}, which leave when the new are ready and get {finish}"
