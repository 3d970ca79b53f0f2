"""Who may call: whose tokens are taken, who is refused all the same, and about whom is asked.

It is part of a file that Envoy follows, so that a change reaches new requests at once and leaves
open streams alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from modelops.gateway.quota import exact, share
from modelops.gateway.snapshot import AUDIENCE, Front, Issuer, Snapshot
from modelops.gateway.typed import Json

TENANT: Final = "modelops.tenant"
"""The name of the caller's tenant among the request's filter state."""

CALLER: Final = "modelops.caller"
"""Where a request's dynamic metadata tells spans of its `tenant` and `key`."""

ASKED: Final = "modelops.ask"
"""Where it says of requests about which is asked whose they are, as API keys name it."""


def callers(snapshot: Snapshot, front: Front) -> Json:
    """Return what the module is told of callers: who is refused, and who is asked about.

    It passes this pod's share of large limits, and has somebody be asked about what is above it.
    Small limits have no share: those whose they are are always asked about. Its cost does not grow
    with the number of any.
    """
    return {
        "issuers": _issuers(snapshot, front),
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


def _issuers(snapshot: Snapshot, front: Front) -> list[Json]:
    """Return whose tokens are taken, by which keys: ours first."""
    own = {"issuer": front.issuer, "audiences": [AUDIENCE], "keys": snapshot.public_keys}
    others = (_foreign(i, snapshot.issuer_keys.get(i.name, ())) for i in front.issuers)
    return [own, *others]


def _foreign(issuer: Issuer, keys: Sequence[Mapping[str, Any]]) -> Json:
    """Return the same of another issuer, and how its claims are read as if it were ours."""
    read = {
        "name": issuer.name,
        "prefix": issuer.prefix,
        "tenant_claim": issuer.tenant_claim,
        "models_claim": issuer.models_claim,
        "models": issuer.models,
    }
    told = {"issuer": issuer.url, "audiences": issuer.audiences, "keys": keys}
    return {**told, "foreign": read}


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
