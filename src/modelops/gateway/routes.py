"""Which request goes to which model: the virtual host, by the `model` that a request names.

What is for no model the module has answered before, or refused.
"""

import json
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final, TypeGuard

from orjson import Fragment

from modelops.gateway import affinity, answers, joblead, openapi, waking
from modelops.gateway.answers import direct
from modelops.gateway.groups import attempts, destination
from modelops.gateway.memo import Memo
from modelops.gateway.module import (
    DOCUMENT_PATH,
    FORM_PATHS,
    JOB_PATHS,
    JSON_PATHS,
    LISTING_PATH,
    route,
)
from modelops.gateway.restrictions import Allowed, allowed, divided, only, restricted
from modelops.gateway.snapshot import Model, Offer, Route, Snapshot
from modelops.gateway.typed import STATE, Json, extension, typed

ROUTES: Final = "models"
MODEL: Final = "modelops.model"
"""The name of the request's model among its filter state."""

PATHS: Final = (*JSON_PATHS, *FORM_PATHS)
"""All that is passed on to engines or made jobs of: nothing else can be reached."""

TEXT_PATHS: Final = tuple(path for path in PATHS if path not in JOB_PATHS)

_ANY: Final = {"prefix": "/"}

RETRIES: Final[Json] = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 2,
    "retry_host_predicate": [
        extension(
            "previous", "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
        )
    ],
    "host_selection_retry_max_attempts": 32,
}
"""Only what no engine has seen is sent again, and to another replica.

On a ring the next place is often the same replica's: so often another one is looked for.
"""


def virtual_hosts(snapshot: Snapshot, memo: Memo) -> Json:
    """Return the route configuration; finding a model costs the same among 1 and among 1,000."""
    host = {
        "name": ROUTES,
        "domains": ["*"],
        "matcher": _by_tenant(snapshot, memo),
    }
    return typed(
        "envoy.config.route.v3.RouteConfiguration",
        name=ROUTES,
        virtual_hosts=[host],
        max_direct_response_body_size_bytes=openapi.LARGEST,
    )


def _by_tenant(snapshot: Snapshot, memo: Memo) -> Json:
    """Return the matcher that shows each restricted tenant only what it may use."""
    offers, usable = snapshot.offers, restricted(snapshot)
    everything = _by_model(offers, memo)
    if not usable:
        return everything
    who = allowed(usable)
    theirs = [offer for offer in offers if offer.served_name in who]
    return divided(usable, _by_model(theirs, memo, who), everything)


def _by_model(offers: Sequence[Offer], memo: Memo, who: Allowed = MappingProxyType({})) -> Json:
    """Return the matcher of the models; `who` may use which of them, where that is restricted.

    What all models have in common is said once, since Envoy reads all this with each change.
    """
    theirs = {o.served_name: who.get(o.served_name) for o in offers}
    served = {o.served_name: memo.text(_of_offer, o, theirs[o.served_name]) for o in offers}
    listed = [memo.text(_entry, o, theirs[o.served_name]) for o in offers]
    return _found(MODEL, served) | {"on_no_match": _list(_elsewhere(listed))}


def _found(key: str, choice: Json) -> Json:
    """Return the matcher that looks a value of the filter state up by its hash."""
    if not choice:
        return {}
    tree = {"input": extension("state", STATE, key=key), "exact_match_map": {"map": choice}}
    return {"matcher_tree": tree}


def _list(routes: list[Json]) -> Json:
    return {"action": extension("routes", "envoy.config.route.v3.RouteList", routes=routes)}


def _of_offer(offer: Offer, tenants: Sequence[str] | None) -> Json:
    """Return the route to a model; Envoy's own 404 answers tenants that may not use it."""
    match = {**_ANY, **(only(tenants) if tenants else {})}
    return _list([{"name": offer.served_name, "match": match, **_answered(offer)}])


def _makes(offer: Offer) -> bool:
    """Tell whether what is asked of it are jobs: of a route, whether all its models do them."""
    models = (offer,) if isinstance(offer, Model) else offer.models
    return bool(models) and all(model.jobs for model in models)


def _answered(offer: Offer) -> Json:
    """Return what happens to a request for a model or a route that the caller may use."""
    if _makes(offer):
        return {**joblead.led(), **route(jobs=True)}
    leads, models = _destination(offer)
    if leads is None:
        return direct(answers.NO_REPLICA)
    retries = {"timeout": "0s", "retry_policy": _retries(offer, models)}
    action = {**leads, **retries, **affinity.hashed(*models), **waking.named(*models)}
    gate = {"gated": True} if offer.gated else {}
    told = waking.chained(*models) if _goes_on(offer) else {}
    return {"route": action, **route(**affinity.asked(*models), **gate), **told}


def _destination(offer: Offer) -> tuple[Json | None, tuple[Model, ...]]:
    """Return where a request goes, and which models may answer it."""
    if isinstance(offer, Model):
        return {"cluster": offer.cluster}, (offer,)
    return destination(offer), offer.models


def _goes_on(offer: Offer) -> TypeGuard[Route]:
    return isinstance(offer, Route) and bool(offer.fallback)


def _retries(offer: Offer, models: Sequence[Model]) -> Json:
    if _goes_on(offer):
        return waking.next_one(RETRIES | {"num_retries": attempts(offer) - 1})
    if all(model.may_rest and not model.endpoints for model in models):
        return waking.patient(RETRIES)
    return RETRIES


def _elsewhere(listed: Sequence[Fragment]) -> list[Json]:
    """Return the routes of requests that are for no model; `listed` are the entries of the list.

    The last one is every request's until its body is read.
    """
    return [
        {
            "match": {"prefix": LISTING_PATH},
            **route(models=listed),
            **direct(answers.MODEL_UNLISTED),
        },
        _document(),
        {"match": {"prefix": joblead.PATH}, **joblead.led()},
        {"match": _ANY, **direct(answers.MODEL_UNKNOWN)},
    ]


def _document() -> Json:
    """Return the route that answers with the OpenAPI document."""
    return {
        "match": {"path": DOCUMENT_PATH},
        "direct_response": {"status": 200, "body": {"inline_string": openapi.text()}},
        "response_headers_to_add": [answers.header("content-type", "application/json")],
    }


def _entry(offer: Offer, tenants: Sequence[str] | None) -> Json:
    """Return a model's entry in that list, with those who alone may use it."""
    whose = {} if tenants is None else {"tenants": tenants}
    return {"id": offer.served_name, "json": _described(offer), **whose}


def _described(offer: Offer) -> str:
    described = {
        "id": offer.served_name,
        "object": "model",
        "created": offer.created,
        "owned_by": offer.namespace,
        "status": offer.state,
    }
    return json.dumps(described)
