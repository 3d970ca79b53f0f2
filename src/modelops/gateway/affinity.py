"""Which requests go to the same replica: those that share a session or the prompt's beginning.

An engine keeps what it has computed for a prompt, and answers one that begins alike sooner. Equal
keys lead to the same replica from every gateway pod: where a key goes follows from the key and
from the replicas' addresses alone.
"""

from typing import Any, Final

from modelops.gateway.snapshot import Model

AFFINITY: Final = "envoy.hashable_string"
"""The name of a request's key among its filter state; it is never logged."""

OVERLOAD_PERCENT: Final = 150
"""A replica with more requests in flight than so much of the mean passes its keys on."""

PLACES: Final = 256
"""Places of one replica on the ring: shares differ by some six percent."""


def asked(*models: Model) -> dict[str, Any]:
    """Return what has the module find the key of a route to any of these models."""
    headers = [m.session_header for m in models if m.session_header]
    return {"session_header": headers[0], "several": len(models) > 1} if headers else {}


def hashed(*models: Model) -> dict[str, Any]:
    """Return the fields of that route's action that have the key looked at."""
    if not any(m.session_header for m in models):
        return {}
    return {"hash_policy": [{"filter_state": {"key": AFFINITY}}]}


def policy(model: Model) -> str:
    """Return the name of Envoy's policy by which a replica is chosen."""
    return "LEAST_REQUEST" if model.session_header is None else "RING_HASH"


def bounded(model: Model) -> dict[str, Any]:
    """Return the fields of a cluster that have a busy replica pass its keys on."""
    if model.session_header is None:
        return {}
    return {"consistent_hashing_lb_config": {"hash_balance_factor": OVERLOAD_PERCENT}}


def ring(model: Model) -> dict[str, Any]:
    """Return the fields of a cluster that size the ring on which keys and replicas lie.

    It grows with the replicas, so that each has as many places as before when another goes or
    comes: keys move from that one or to it, and all others stay.
    """
    if model.session_header is None:
        return {}
    return {"ring_hash_lb_config": {"minimum_ring_size": PLACES * max(1, len(model.endpoints))}}
