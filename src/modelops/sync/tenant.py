"""The verdict on a Tenant: what its keys may use, or why it does not count."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import ValidationError

from modelops.api.conditions import one_line
from modelops.api.grants import granted
from modelops.api.policies.tenant import KIND, TenantSpec
from modelops.sync.refusal import Refusal, invalid
from modelops.sync.scene import Named, Scene
from modelops.sync.verdict import Verdict

MOST_NAMES: Final = 5
"""So many names of a list are told; the spec has the others."""


def judge_tenant(resource: Mapping[str, Any], scene: Scene) -> Verdict:
    """Return the verdict on a tenant; raises Refusal when it does not count."""
    if resource["metadata"]["namespace"] != scene.system:
        raise Refusal(
            "WrongNamespace",
            f"a {KIND.name} counts in namespace {scene.system} only",
            "create it there and delete this one",
        )
    spec = tenant_spec(resource)
    offers = scene.holders.values()
    vain = _limited(spec) and not any(_may_use(spec, offer) for offer in offers)
    told = usage(spec) + ("; there is no such model now" if vain else "")
    return Verdict(ready=True, reason="InForce", sentence=one_line(told))


def tenant_spec(resource: Mapping[str, Any]) -> TenantSpec:
    """Return the spec of a tenant; raises Refusal when it is not one."""
    try:
        return TenantSpec.model_validate(resource.get("spec") or {})
    except ValidationError as error:
        raise invalid(KIND, error) from error


def usage(spec: TenantSpec) -> str:
    """Return what a tenant's keys may use, in words."""
    return "; ".join((_usable(spec), *_limits(spec)))


def _usable(spec: TenantSpec) -> str:
    if spec.models == [] or spec.namespaces == []:
        return "its keys may use no model"
    if not _limited(spec):
        return "its keys may use what they name"
    models = f" called {_some(spec.models)}" if spec.models else ""
    where = f" in namespaces {_some(spec.namespaces)}" if spec.namespaces else ""
    return f"its keys may use models{models}{where}"


def _limited(spec: TenantSpec) -> bool:
    """Tell whether the tenant may use some models and not others."""
    return bool(spec.models or spec.namespaces) and [] not in (spec.models, spec.namespaces)


def _may_use(spec: TenantSpec, offer: Named) -> bool:
    named = spec.models is None or granted(offer.served_name, spec.models)
    return named and (spec.namespaces is None or offer.namespace in spec.namespaces)


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _limits(spec: TenantSpec) -> Iterable[str]:
    limits = spec.limits
    told = (
        (limits.requests_per_minute, "requests a minute"),
        (limits.tokens_per_minute, "tokens a minute"),
        (limits.concurrent_requests, "requests at a time"),
    )
    given = [f"{number} {what}" for number, what in told if number is not None]
    return [f"at most {', '.join(given)}"] if given else []
