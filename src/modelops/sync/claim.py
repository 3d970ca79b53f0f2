"""The claim that a model keeps its weights in: what it asks for, and what cannot change."""

from decimal import Decimal, InvalidOperation
from typing import Any, Final

from modelops.api.parts import Cache
from modelops.sync.catalogue import Platform
from modelops.sync.observed import Manifest
from modelops.sync.refusal import Refusal

_DECIMAL: Final = {"m": Decimal("0.001")} | {
    s: Decimal(1000) ** i for i, s in enumerate("kMGTPE", 1)
}
_BINARY: Final = {f"{s}i": Decimal(1024) ** i for i, s in enumerate("KMGTPE", 1)}
_FACTORS: Final = _BINARY | _DECIMAL | {"": Decimal(1)}


def claim_spec(cache: Cache, platform: Platform, existing: Manifest | None) -> dict[str, Any]:
    """Return the spec of a model's own claim.

    What the model does not ask for stays as it is on a claim that exists, so that new defaults
    of the platform leave old models alone. Raises Refusal when it asks for what a claim cannot
    become.
    """
    if existing is None:
        size = cache.size or platform.cache_size
        return _spec(cache, size, cache.storage_class_name or platform.cache_storage_class)
    _refuse_change(cache, existing)
    kept = existing["spec"]
    return _spec(cache, cache.size or _size(existing), kept.get("storageClassName"))


def amount(quantity: str) -> Decimal | None:
    """Return the number that a Kubernetes quantity stands for; None if it is none."""
    suffix = next(s for s in _FACTORS if quantity.endswith(s))
    try:
        return Decimal(quantity.removesuffix(suffix)) * _FACTORS[suffix]
    except InvalidOperation:
        return None


def _spec(cache: Cache, size: str, storage_class: str | None) -> dict[str, Any]:
    spec = {
        "accessModes": [cache.access_mode],
        "resources": {"requests": {"storage": size}},
    }
    return {**spec, "storageClassName": storage_class} if storage_class else spec


def _size(claim: Manifest) -> str:
    return str(claim["spec"]["resources"]["requests"]["storage"])


def _refuse_change(cache: Cache, existing: Manifest) -> None:
    spec, name = existing["spec"], existing["metadata"]["name"]
    wanted, has = amount(cache.size or _size(existing)), amount(_size(existing))
    if wanted is not None and has is not None and wanted < has:
        raise _immutable("size", f"claim {name} has {_size(existing)} and can only grow")
    storage_class = spec.get("storageClassName")
    if cache.storage_class_name not in (None, storage_class):
        raise _immutable("storageClassName", f"claim {name} is of class {storage_class} for good")
    if [cache.access_mode] != list(spec["accessModes"]):
        modes = ", ".join(spec["accessModes"])
        raise _immutable("accessMode", f"claim {name} is {modes} for good")


def _immutable(field: str, message: str) -> Refusal:
    return Refusal(
        "ClaimImmutable",
        message,
        f"take spec.cache.{field} back, or delete the claim to fetch the weights anew",
    )
