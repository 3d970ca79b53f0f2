"""Which tenants may not use everything, and who of them may use what.

Tenants without an object, and those whose object allows all that there is, are not restricted:
nothing of Envoy's configuration grows with them.
"""

import re
from collections.abc import Iterable, Mapping

from modelops.gateway.access import TENANT
from modelops.gateway.snapshot import Offer, Snapshot, Tenant
from modelops.gateway.typed import STATE, Json, extension

Allowed = Mapping[str, tuple[str, ...]]
"""By the name that clients send: the restricted tenants that may use it, in order."""


def restricted(snapshot: Snapshot) -> dict[str, frozenset[str]]:
    """Return the restricted tenants, each with the names that it may use."""
    offers = {offer.served_name: offer for offer in snapshot.offers}
    usable = {tenant.name: _usable(tenant, offers) for tenant in snapshot.tenants}
    return {tenant: names for tenant, names in usable.items() if names != offers.keys()}


def _usable(tenant: Tenant, offers: Mapping[str, Offer]) -> frozenset[str]:
    """Return the names that a tenant may use, looking at few of those that it does not name."""
    return frozenset(name for name in _named(tenant, offers) if tenant.may_use(offers[name]))


def _named(tenant: Tenant, offers: Mapping[str, Offer]) -> Iterable[str]:
    if tenant.models is None:
        return offers
    beginnings = tuple(grant[:-1] for grant in tenant.models if grant.endswith("*"))
    covered = (name for name in offers if name.startswith(beginnings)) if beginnings else ()
    return (offers.keys() & set(tenant.models)).union(covered)


def allowed(usable: Mapping[str, frozenset[str]]) -> Allowed:
    """Return who may use what, turned round."""
    found: dict[str, list[str]] = {}
    for tenant, names in sorted(usable.items()):
        for name in names:
            found.setdefault(name, []).append(tenant)
    return {name: tuple(tenants) for name, tenants in found.items()}


def divided(tenants: Iterable[str], theirs: Json, others: Json) -> Json:
    """Return the matcher that shows these tenants one thing and everyone else another."""
    theirs_are = {"safe_regex": {"google_re2": {}, "regex": _any_of(tenants)}}
    who = {"input": extension("tenant", STATE, key=TENANT), "value_match": theirs_are}
    on_match = {"predicate": {"single_predicate": who}, "on_match": {"matcher": theirs}}
    return {"matcher_list": {"matchers": [on_match]}, "on_no_match": {"matcher": others}}


def only(tenants: Iterable[str]) -> Json:
    """Return the part of a route's match that takes requests of these tenants alone."""
    match = {"safe_regex": {"regex": _any_of(tenants)}}
    return {"filter_state": [{"key": TENANT, "string_match": match}]}


def _any_of(tenants: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(tenants)))
