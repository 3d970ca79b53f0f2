"""Models behind somebody else's Gateway: an InferencePool and an HTTPRoute for each (pure)."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from modelops.api import conditions as c
from modelops.sync.catalogue import GatewayApi, Platform
from modelops.sync.cause import short
from modelops.sync.observed import ATTACHING_TYPES, POOL, ROUTE, ChildType, Observed, labels

MODEL_HEADER: Final = "X-Gateway-Model-Name"
"""The header that names a request's model: the extension's body-based router sets it."""

PATHS: Final = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/rerank",
    "/v1/score",
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
)
"""What is offered there: engines have other paths, which are for nobody."""


def attached(observed: Observed, platform: Platform) -> tuple[ChildType, ...]:
    """Return the children that attach a model, where that is wanted and the cluster can."""
    wanted = platform.gateway_api
    possible = wanted and wanted.parents and not _missing(observed)
    return ATTACHING_TYPES if possible else ()


def pool(observed: Observed, port: int, wanted: GatewayApi) -> dict[str, Any]:
    """Return the spec of the pool of a model's replicas, which answer at that port."""
    return {
        "selector": {"matchLabels": labels(observed.kind, observed.name)},
        "targetPorts": [{"number": port}],
        "endpointPickerRef": {
            "group": "",
            "kind": "Service",
            "name": wanted.picker or f"{observed.name}-epp",
            "port": {"number": wanted.picker_port},
            "failureMode": wanted.failure_mode,
        },
    }


def route(observed: Observed, served_name: str, wanted: GatewayApi) -> dict[str, Any]:
    """Return the spec of the route that leads requests for a name to the pool."""
    header = {"type": "Exact", "name": MODEL_HEADER, "value": served_name}
    matches = [
        {"path": {"type": "Exact", "value": path}, "method": "POST", "headers": [header]}
        for path in PATHS
    ]
    backend = {"group": _group(POOL), "kind": POOL.kind, "name": observed.name}
    return {
        "parentRefs": [dict(parent) for parent in wanted.parents],
        "rules": [{"matches": matches, "backendRefs": [{**backend, "weight": 1}]}],
    }


def attachment(observed: Observed, platform: Platform) -> tuple[c.Condition, ...]:
    """Return what there is to say of the attachment: nothing unless somebody wants one."""
    if not platform.gateway_api or not platform.gateway_api.parents:
        return ()
    if _missing(observed):
        return (_lacking(observed),)
    return (_judged(observed),)


def _lacking(observed: Observed) -> c.Condition:
    names = ", ".join(f"{t.kind} ({t.api_version})" for t in _missing(observed))
    told = (
        f"the cluster does not know {names}, or the operator may not list them: install the CRDs, "
        "or empty the chart's value gatewayApi.parentRefs"
    )
    return c.Condition(c.ATTACHED, "False", "KindMissing", told)


def _missing(observed: Observed) -> tuple[ChildType, ...]:
    return tuple(t for t in ATTACHING_TYPES if t in observed.lacking)


def _judged(observed: Observed) -> c.Condition:
    """Return what the gateways say of the route, in their own words where one refuses it."""
    said = list(_said(observed.child(ROUTE)))
    if not said:
        told = "no gateway has judged the HTTPRoute yet: see whether gatewayApi.parentRefs name one"
        return c.Condition(c.ATTACHED, "Unknown", "RoutePending", told)
    refusal = next((one for one in said if one.get("status") != "True"), None)
    if refusal:
        told = f"a gateway does not take the HTTPRoute ({short(refusal.get('message'))})"
        action = "correct the Gateway, or the chart's value gatewayApi.parentRefs"
        return c.Condition(c.ATTACHED, "False", "RouteRefused", c.one_line(f"{told}: {action}"))
    told = f"the gateway takes requests with {MODEL_HEADER}"
    return c.Condition(c.ATTACHED, "True", "RouteAccepted", told)


def _said(route: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    for parent in ((route or {}).get("status") or {}).get("parents") or ():
        known = (one for one in parent.get("conditions") or ())
        yield from (one for one in known if one.get("type") in {"Accepted", "ResolvedRefs"})


def _group(child_type: ChildType) -> str:
    return child_type.api_version.partition("/")[0]
