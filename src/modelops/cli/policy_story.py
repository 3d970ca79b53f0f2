"""A route or a tenant told in words."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from modelops.api.policies.modelroute import KIND as MODEL_ROUTE
from modelops.api.policies.tenant import KIND as TENANT
from modelops.sync.observed import Manifest
from modelops.sync.route import route_spec, serving
from modelops.sync.tenant import tenant_spec, usage


def policy_story(policy: Manifest) -> Iterator[str]:
    """Yield the lines that explain a policy; raises Refusal when it is not one."""
    return _STORIES[policy["kind"]](policy)


def _route(policy: Manifest) -> Iterator[str]:
    spec, meta = route_spec(policy), policy["metadata"]
    models = dict.fromkeys((*(target.model for target in spec.targets), *spec.fallback))
    yield f"  answers  to `{spec.model_name or meta['name']}`"
    yield f"  by       {serving(spec)}"
    yield f"  needs    {', '.join(models)} in namespace {meta['namespace']}"


def _tenant(policy: Manifest) -> Iterator[str]:
    spec = tenant_spec(policy)
    yield f"  allows   {usage(spec)}"
    yield f"  priority {spec.priority}"
    yield "  counts   in the platform's own namespace only"


_STORIES: Final[Mapping[str, Callable[[Manifest], Iterator[str]]]] = MappingProxyType(
    {MODEL_ROUTE.name: _route, TENANT.name: _tenant}
)
