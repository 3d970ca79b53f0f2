"""Who may call: what verifies API keys, refuses revoked ones and limits the others.

Both are files that Envoy follows, so that a change reaches new requests at once and
leaves open streams alone.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelops.gateway.quota import exact, share
from modelops.gateway.snapshot import AUDIENCE, Front, Snapshot
from modelops.gateway.typed import FILTERS, Json, typed

JWT: Final = f"{FILTERS}.jwt_authn.v3.JwtAuthentication"

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

CONTENDED: Final = ("modelops", "contended")
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
        "forward": True,  # to the module, and no further
        "payload_in_metadata": place,
        "require_expiration": True,
        "clock_skew_seconds": CLOCK_SKEW_SECONDS,
        "jwt_cache_config": {"jwt_cache_size": 1000, "jwt_max_token_size": LARGEST_TOKEN},
    }


def callers(snapshot: Snapshot, front: Front) -> Json:
    """Return what the module is told of callers: who is refused, and who is asked about.

    It passes this pod's share of large limits and marks what is above it. Small limits have no
    share: those whose they are are asked about. Its cost does not grow with the number of any.
    """
    return {
        "mark": MARK,
        "other_issuers": bool(front.issuers),
        "by_tenant": bool(snapshot.tenants),
        "revoked": sorted(snapshot.revoked),
        "contended": {
            "everyone": exact(front.tenant_limit or None),
            "keys": sorted(snapshot.contended.keys),
            "tenants": sorted(snapshot.contended.tenants | _exact_tenants(snapshot)),
        },
        "shares": {
            "keys": _shares({str(limit): limit for limit in snapshot.key_limits}),
            "tenants": _shares({t.name: t.requests_per_minute or 0 for t in snapshot.tenants}),
            "others": share(front.tenant_limit),
        },
    }


def _exact_tenants(snapshot: Snapshot) -> frozenset[str]:
    """Return the tenants about whose requests the gateway asks each time."""
    return frozenset(
        t.name
        for t in snapshot.tenants
        if exact(t.requests_per_minute) or t.concurrent_requests is not None
    )


def _shares(limits: Mapping[str, int]) -> dict[str, int]:
    """Return how many requests a minute pass unasked, of those limits of which any do."""
    return {name: share(limits[name]) for name in sorted(limits) if share(limits[name])}
