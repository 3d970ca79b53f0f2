"""Who may call: the filters that verify API keys, refuse revoked ones and limit the others.

Each is a file of its own that Envoy follows, so that a change reaches new requests at once and
leaves open streams alone.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from modelops.gateway.quota import exact, share
from modelops.gateway.snapshot import AUDIENCE, Contended, Front, Snapshot
from modelops.gateway.typed import FILTERS, Json, extension, metadata, typed

JWT: Final = f"{FILTERS}.jwt_authn.v3.JwtAuthentication"
RBAC: Final = f"{FILTERS}.rbac.v3.RBAC"
LIMIT: Final = f"{FILTERS}.local_ratelimit.v3.LocalRateLimit"

CLAIMS: Final = ("envoy.filters.http.jwt_authn", "key")
"""Where a verified key's claims stand in the request's dynamic metadata."""

FOREIGN: Final = "foreign"
"""Where in that namespace the claims of another issuer's token stand."""

KEY_ID: Final = "modelops.key"
"""The name of the key's id among the request's filter state."""

TENANT: Final = "modelops.tenant"
"""The name of the key's tenant there."""

MARK: Final = "x-modelops-share-used"
"""A header inside Envoy: this pod's share of a limit is used up, so that it has to ask."""

SHADOW: Final = ("envoy.filters.http.rbac", "shadow_effective_policy_id")
"""Where the dynamic metadata says that the key or the tenant is among the contended ones."""

NOBODY: Final = {
    "kty": "EC",
    "crv": "P-256",
    "alg": "ES256",
    "kid": "nobody",
    "x": "PWV_4OBeY566sV36v2RqQoTrzaa_1tJ-RD0SBQdis7Y",
    "y": "a0RBHeIhbx8k0uhs6vQWIO_rvkKbJ3lAaQ66xtJfnWs",
}
"""A public key whose private half nobody has: its x is the SHA-256 of `modelops: no key 0`.

Envoy refuses a list without keys and goes on with the one it had, which may be one taken away.
"""

CLOCK_SKEW_SECONDS: Final = 5
LARGEST_TOKEN: Final = 4096
MOST_CALLERS: Final = 100_000
"""So many keys and tenants are counted at a time; the one not seen for longest is forgotten."""


def verifier(snapshot: Snapshot, front: Front) -> Json:
    """Return the filter that lets only requests with a valid API key or foreign token pass."""
    keys = snapshot.public_keys or (NOBODY,)
    own = {"keys": _provider(front.issuer, (AUDIENCE,), keys, CLAIMS[1])}
    others = {
        f"issuer-{i.name}": _provider(i.url, i.audiences, told, FOREIGN)
        for i in front.issuers
        if (told := snapshot.issuer_keys.get(i.name))
    }
    providers = own | others
    # Ours comes first, and nothing else is looked at when it fits.
    each = [{"provider_name": name} for name in providers]
    needed = {"requires_any": {"requirements": each}} if others else each[0]
    # CONNECT has no path and so no prefix: it would pass, and have its body read, unseen.
    everything = [{"prefix": "/"}, {"connect_matcher": {}}]
    rules = [{"match": match, "requires": needed} for match in everything]
    return typed(JWT, providers=providers, rules=rules)


def _provider(
    issuer: str, audiences: Sequence[str], keys: Sequence[Mapping[str, Any]], place: str
) -> Json:
    """Return whose tokens are taken, and where in the metadata their claims are put."""
    return {
        "issuer": issuer,
        "audiences": list(audiences),
        "local_jwks": {"inline_string": json.dumps({"keys": list(keys)})},
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "payload_in_metadata": place,
        "require_expiration": True,
        "clock_skew_seconds": CLOCK_SKEW_SECONDS,
        "jwt_cache_config": {"jwt_cache_size": 1000, "jwt_max_token_size": LARGEST_TOKEN},
    }


def revocation(snapshot: Snapshot, front: Front) -> Json:
    """Return the filter that refuses revoked API keys, and tells which callers are contended.

    Its cost does not grow with the number of either.
    """
    revoked = dict.fromkeys(sorted(snapshot.revoked), _action("revoked", "DENY"))
    allow = {"on_no_match": _action("valid", "ALLOW")}
    return typed(
        RBAC,
        matcher={**_by(KEY_ID, revoked), **allow},
        **_shadow(snapshot.contended, exact(front.tenant_limit or None), _exact_tenants(snapshot)),
    )


def _exact_tenants(snapshot: Snapshot) -> frozenset[str]:
    """Return the tenants about whose requests the gateway asks each time."""
    return frozenset(
        t.name
        for t in snapshot.tenants
        if exact(t.requests_per_minute) or t.concurrent_requests is not None
    )


def _shadow(contended: Contended, everyone: bool, tenants: frozenset[str]) -> Json:  # noqa: FBT001  as the front says
    """Return a second matcher, which leaves a word in the metadata for callers to ask about."""
    ask = _action("contended", "ALLOW")
    keys = _by(KEY_ID, dict.fromkeys(sorted(contended.keys), ask))
    others = _by(TENANT, dict.fromkeys(sorted(contended.tenants | tenants), ask))
    if everyone:
        return {"shadow_matcher": {"on_no_match": ask}}
    if keys and others:
        return {"shadow_matcher": {**keys, "on_no_match": {"matcher": others}}}
    return {"shadow_matcher": keys or others} if keys or others else {}


def _by(name: str, found: Mapping[str, Json]) -> Json:
    """Return a look-up by a text of the filter state; none without anything to be found."""
    if not found:
        return {}
    kind = "envoy.extensions.matching.common_inputs.network.v3.FilterStateInput"
    return {
        "matcher_tree": {
            "input": extension("input", kind, key=name),
            "exact_match_map": {"map": dict(found)},
        }
    }


def _action(name: str, action: str) -> Json:
    return {"action": extension("action", "envoy.config.rbac.v3.Action", name=name, action=action)}


def limits(snapshot: Snapshot, front: Front) -> Json:
    """Return the filter that passes this pod's share of large limits, and marks what is above it.

    It refuses nothing: marked requests are asked about. Small limits have no share.
    """
    default = {"": front.tenant_limit} if front.tenant_limit else {}
    tenants = {t.name: t.requests_per_minute or 0 for t in snapshot.tenants}
    return typed(
        LIMIT,
        stat_prefix="requests",
        token_bucket=_bucket(2**32 - 1),
        always_consume_default_token_bucket=False,
        max_dynamic_descriptors=MOST_CALLERS,
        filter_enabled=_share_of(100),
        filter_enforced=_share_of(0),
        request_headers_to_add_when_not_enforced=[_mark()],
        descriptors=[*_key_limits(snapshot.key_limits), *_tenant_limits({**default, **tenants})],
        rate_limits=[
            {"actions": [_claim("rpm"), _claim("jti")]},
            {"actions": [_claim("sub")]},
        ],
    )


def _key_limits(allowed: Iterable[int]) -> list[Json]:
    """Return a bucket for each key that carries a limit: its value must be known beforehand."""
    return [
        {"entries": [{"key": "rpm", "value": str(limit)}, {"key": "jti"}], **_filled(share(limit))}
        for limit in sorted(allowed)
        if share(limit)
    ]


def _tenant_limits(tenants: Mapping[str, int]) -> list[Json]:
    """Return a bucket for each tenant, and for those without a name one each."""
    return [
        {"entries": [{"key": "sub", **({"value": name} if name else {})}], **_filled(share(limit))}
        for name, limit in sorted(tenants.items())
        if share(limit)
    ]


def _mark() -> Json:
    return {
        "header": {"key": MARK, "value": "1"},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def _filled(limit: int) -> Json:
    return {"token_bucket": _bucket(limit)}


def _bucket(per_minute: int) -> Json:
    return {"max_tokens": per_minute, "tokens_per_fill": per_minute, "fill_interval": "60s"}


def _claim(name: str) -> Json:
    where = metadata(*CLAIMS, name)
    key = {"key": where["filter"], "path": where["path"]}
    found = {"descriptor_key": name, "metadata_key": key, "source": "DYNAMIC"}
    return {"metadata": {**found, "skip_if_absent": True}}


def _share_of(percent: int) -> Json:
    return {"default_value": {"numerator": percent, "denominator": "HUNDRED"}}
