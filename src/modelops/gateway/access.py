"""Who may call: the filters that verify API keys, refuse revoked ones and limit the others.

Each is a file of its own that Envoy follows, so that a change reaches new requests at once and
leaves open streams alone.
"""

import json
from collections.abc import Iterable
from typing import Final

from modelops.gateway.snapshot import AUDIENCE, Front, Snapshot
from modelops.gateway.typed import FILTERS, Json, extension, metadata, typed

JWT: Final = f"{FILTERS}.jwt_authn.v3.JwtAuthentication"
RBAC: Final = f"{FILTERS}.rbac.v3.RBAC"
LIMIT: Final = f"{FILTERS}.local_ratelimit.v3.LocalRateLimit"

CLAIMS: Final = ("envoy.filters.http.jwt_authn", "key")
"""Where a verified key's claims stand in the request's dynamic metadata."""

KEY_ID: Final = "modelops.key"
"""The name of the key's id among the request's filter state."""

TENANT: Final = "modelops.tenant"
"""The name of the key's tenant there."""

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
    """Return the filter that lets only requests with a valid API key pass."""
    keys = list(snapshot.public_keys) or [NOBODY]
    provider = {
        "issuer": front.issuer,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": json.dumps({"keys": keys})},
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "payload_in_metadata": CLAIMS[1],
        "require_expiration": True,
        "clock_skew_seconds": CLOCK_SKEW_SECONDS,
        "jwt_cache_config": {"jwt_cache_size": 1000, "jwt_max_token_size": LARGEST_TOKEN},
    }
    # CONNECT has no path and so no prefix: it would pass, and have its body read, unseen.
    everything = [{"prefix": "/"}, {"connect_matcher": {}}]
    rules = [{"match": match, "requires": {"provider_name": "keys"}} for match in everything]
    return typed(JWT, providers={"keys": provider}, rules=rules)


def revocation(snapshot: Snapshot) -> Json:
    """Return the filter that refuses revoked API keys; its cost does not grow with their number."""
    deny = _action("revoked", "DENY")
    allow = _action("valid", "ALLOW")
    if not snapshot.revoked:
        return typed(RBAC, matcher={"on_no_match": allow})
    key = extension(
        "key", "envoy.extensions.matching.common_inputs.network.v3.FilterStateInput", key=KEY_ID
    )
    revoked = dict.fromkeys(sorted(snapshot.revoked), deny)
    tree = {"input": key, "exact_match_map": {"map": revoked}}
    return typed(RBAC, matcher={"matcher_tree": tree, "on_no_match": allow})


def _action(name: str, action: str) -> Json:
    return {"action": extension("action", "envoy.config.rbac.v3.Action", name=name, action=action)}


def limits(snapshot: Snapshot, front: Front) -> Json:
    """Return the filter that counts requests per minute: of each key, and of each tenant.

    The counts are of this gateway replica alone.
    """
    return typed(
        LIMIT,
        stat_prefix="requests",
        token_bucket=_bucket(2**32 - 1),
        always_consume_default_token_bucket=False,
        max_dynamic_descriptors=MOST_CALLERS,
        filter_enabled=_always(),
        filter_enforced=_always(),
        descriptors=[*_key_limits(snapshot.key_limits), *_tenant_limits(front)],
        rate_limits=[
            {"actions": [_claim("rpm"), _claim("jti")]},
            {"actions": [_claim("sub")]},
        ],
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
    )


def _key_limits(allowed: Iterable[int]) -> list[Json]:
    """Return a bucket for each key that carries a limit: its value must be known beforehand."""
    return [
        {"entries": [{"key": "rpm", "value": str(limit)}, {"key": "jti"}], **_filled(limit)}
        for limit in sorted(allowed)
    ]


def _tenant_limits(front: Front) -> list[Json]:
    if not front.tenant_limit:
        return []
    return [{"entries": [{"key": "sub"}], **_filled(front.tenant_limit)}]


def _filled(limit: int) -> Json:
    return {"token_bucket": _bucket(limit)}


def _bucket(per_minute: int) -> Json:
    return {"max_tokens": per_minute, "tokens_per_fill": per_minute, "fill_interval": "60s"}


def _claim(name: str) -> Json:
    where = metadata(*CLAIMS, name)
    key = {"key": where["filter"], "path": where["path"]}
    found = {"descriptor_key": name, "metadata_key": key, "source": "DYNAMIC"}
    return {"metadata": {**found, "skip_if_absent": True}}


def _always() -> Json:
    return {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
