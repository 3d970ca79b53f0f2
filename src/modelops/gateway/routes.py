"""Which request goes to which model: the virtual host, by the `model` that a request names."""

import json
import re
from collections.abc import Sequence
from types import MappingProxyType
from typing import Final, TypeGuard

from orjson import Fragment

from modelops.gateway import (
    affinity,
    answers,
    contention,
    joblead,
    multipart,
    openapi,
    waking,
)
from modelops.gateway.access import CLAIMS, MARK
from modelops.gateway.answers import BODY, Refusal, direct
from modelops.gateway.grants import covering
from modelops.gateway.groups import attempts, destination
from modelops.gateway.memo import Memo
from modelops.gateway.module import JSON_PATHS
from modelops.gateway.restrictions import Allowed, allowed, divided, only, restricted
from modelops.gateway.snapshot import Model, Offer, Route, Snapshot
from modelops.gateway.typed import Json, extension, metadata, typed

ROUTES: Final = "models"
MODEL: Final = "modelops.model"
"""The name of the request's model among its filter state."""

LISTING: Final = "modelops.models"
"""The filter that answers /v1/models."""

PATHS: Final = (*JSON_PATHS, *multipart.PATHS)
"""All that is passed on to engines or made jobs of: nothing else can be reached."""

JOB_PATHS: Final = tuple(path for path in PATHS if path.startswith("/v1/images/"))
"""Those whose requests are jobs."""

TEXT_PATHS: Final = tuple(path for path in PATHS if path not in JOB_PATHS)


def _one_of(paths: Sequence[str]) -> Json:
    return {"safe_regex": {"regex": "|".join(re.escape(path) for path in paths)}}


_PATH: Final = _one_of(PATHS)
_LISTED: Final = {"safe_regex": {"regex": "/v1/models(/.*)?"}}
_DOCUMENT: Final = {"path": openapi.PATH}
_ANY: Final = {"prefix": "/"}
_GET: Final = {"name": ":method", "string_match": {"exact": "GET"}}
JSON_TYPE: Final = r"(?i)application/json\s*(;.*)?"


def _type(regex: str) -> Json:
    return {"name": "content-type", "string_match": {"safe_regex": {"regex": regex}}}


def _type_other_than(regex: str) -> Json:
    return _type(regex) | {"treat_missing_header_as_empty": True, "invert_match": True}


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
        "request_headers_to_remove": [MARK, "authorization"],
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
    listed = [memo.text(_entry, o, theirs[o.served_name]) for o in offers]
    matchers = []
    for made, paths in ((False, TEXT_PATHS), (True, JOB_PATHS)):
        serving = [o for o in offers if _makes(o) == made]
        served = {o.served_name: memo.text(_of_offer, o, theirs[o.served_name]) for o in serving}
        asked = _found(MODEL, served) | {"on_no_match": _list(_without_model())}
        matchers.append({"predicate": _asking(paths), "on_match": {"matcher": asked}})
    return {
        "matcher_list": {"matchers": matchers},
        "on_no_match": _list(_elsewhere(listed)),
    }


def _makes(offer: Offer) -> bool:
    """Tell whether what is asked of it are jobs: of a route, whether all its models do them."""
    models = (offer,) if isinstance(offer, Model) else offer.models
    return bool(models) and all(model.jobs for model in models)


def _asking(of: Sequence[str]) -> Json:
    """Return the predicate of requests that are for a model: of one of these paths."""
    paths = "|".join(map(re.escape, of))
    of_path = _header(":path", {"safe_regex": {"google_re2": {}, "regex": rf"({paths})(\?.*)?"}})
    return {"and_matcher": {"predicate": [of_path, _header(":method", {"exact": "POST"})]}}


def _header(name: str, match: Json) -> Json:
    kind = "envoy.type.matcher.v3.HttpRequestHeaderMatchInput"
    read = {"input": extension("header", kind, header_name=name), "value_match": match}
    return {"single_predicate": read}


def _found(key: str, choice: Json) -> Json:
    """Return the matcher that looks a value of the filter state up by its hash."""
    if not choice:
        return {}
    kind = "envoy.extensions.matching.common_inputs.network.v3.FilterStateInput"
    tree = {"input": extension("state", kind, key=key), "exact_match_map": {"map": choice}}
    return {"matcher_tree": tree}


def _list(routes: list[Json]) -> Json:
    return {"action": extension("routes", "envoy.config.route.v3.RouteList", routes=routes)}


def _of_offer(offer: Offer, tenants: Sequence[str] | None) -> Json:
    """Return the route of those whose key opens the model; Envoy's own 404 answers the others."""
    where = metadata(*CLAIMS, "models")
    fits = {"string_match": {"safe_regex": {"regex": covering(offer.served_name)}}}
    may_use = {**where, "value": {"list_match": {"one_of": fits}}}
    match = {**_ANY, "dynamic_metadata": [may_use], **(only(tenants) if tenants else {})}
    return _list([{"name": offer.served_name, "match": match, **_answered(offer)}])


def _answered(offer: Offer) -> Json:
    """Return what happens to a request for a model or a route that the caller may use."""
    if _makes(offer):
        return joblead.led(offer.served_name)
    leads, models = _destination(offer)
    if leads is None:
        return direct(answers.NO_REPLICA)
    retries = {"timeout": "0s", "retry_policy": _retries(offer, models)}
    action = {**leads, **retries, **affinity.hashed(*models), **waking.named(*models)}
    gate = contention.gated() if offer.gated else {}
    told = waking.chained(*models) if _goes_on(offer) else {}
    return {"route": action, **affinity.asked(*models), **gate, **told}


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


def _without_model() -> list[Json]:
    """Return what answers requests to a model's path that name none which exists.

    The first of JSON is every request's until its body is read.
    """
    form = _one_of(multipart.PATHS)
    foreign = form | {"headers": [_type_other_than(multipart.CONTENT_TYPE)]}
    in_form = [
        _refuse(foreign, answers.NOT_FORM),
        _refuse(form | _body("malformed"), answers.FORM_MALFORMED),
        _refuse(form | _body("nameless"), answers.MODEL_MISSING),
        _refuse(form, answers.MODEL_UNKNOWN),
    ]
    of_json = _ANY | {"headers": [_type(JSON_TYPE)]}
    return [
        *(route | multipart.read() for route in in_form),
        _refuse(of_json | _body_in_order(), answers.MODEL_UNKNOWN),
        _refuse(_ANY | {"headers": [_type_other_than(JSON_TYPE)]}, answers.NOT_JSON),
        _refuse(_ANY | _body("malformed"), answers.JSON_MALFORMED),
        _refuse(_ANY | _body("nameless"), answers.MODEL_MISSING),
    ]


def _elsewhere(listed: Sequence[Fragment]) -> list[Json]:
    """Return what answers requests that are for no model; `listed` are the entries of the list."""
    return [
        _models(listed),
        _document(),
        {"match": joblead.PATHS, **joblead.led()},
        *(_refuse(match, answers.GET_ONLY) for match in (_LISTED, _DOCUMENT)),
        _refuse(_PATH, answers.POST_ONLY),
        _refuse(_ANY, answers.URL_UNKNOWN),
    ]


def _body(state: str) -> Json:
    matches = {**metadata(*BODY), "value": {"string_match": {"exact": state}}}
    return {"dynamic_metadata": [matches]}


def _body_in_order() -> Json:
    complained_of = {**metadata(*BODY), "value": {"present_match": True}}
    return {"dynamic_metadata": [complained_of | {"invert": True}]}


def _refuse(match: Json, refusal: Refusal) -> Json:
    return {"match": match, **direct(refusal)}


def _models(listed: Sequence[Fragment]) -> Json:
    """Return the route to the list of models; the filter picks those that the caller may use."""
    return {
        "match": {**_LISTED, "headers": [_GET]},
        "metadata": {"filter_metadata": {LISTING: {"models": listed}}},
        "typed_per_filter_config": {
            LISTING: typed("envoy.config.route.v3.FilterConfig", config={})
        },
        **direct(answers.MODEL_UNLISTED),
    }


def _document() -> Json:
    """Return the route that answers with the OpenAPI document."""
    return {
        "match": {**_DOCUMENT, "headers": [_GET]},
        "direct_response": {"status": 200, "body": {"inline_string": openapi.text()}},
        "response_headers_to_add": [answers.header("content-type", "application/json")],
    }


def _entry(offer: Offer, tenants: Sequence[str] | None) -> Json:
    """Return a model's entry in that list, with those who alone may use it."""
    whose = {} if tenants is None else {"tenants": dict.fromkeys(tenants, True)}
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
