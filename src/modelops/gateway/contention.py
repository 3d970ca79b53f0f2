"""The filter that asks about contended requests: of whom each is, and what makes one contended.

The others pass it at the cost of four look-ups. Whom it asks is the control process beside it,
by Envoy's global rate limit protocol.
"""

from typing import Final

from modelops.gateway.access import CLAIMS, CONTENDED, MARK
from modelops.gateway.clusters import HTTP
from modelops.gateway.loopback import loopback
from modelops.gateway.snapshot import Front
from modelops.gateway.typed import FILTERS, Json, extension, metadata, typed

ASKER: Final = "modelops.limits"
CLUSTER: Final = "limiter"
DOMAIN: Final = "modelops"
ANSWERED: Final = "envoy.filters.http.ratelimit"
"""Where the service's words stand in a request's dynamic metadata."""

GATE: Final = ("modelops.gate", "on")
"""Where a route's metadata says that a model behind it is saturated."""

LEASE: Final = "lease"
"""The descriptor of a request that ends, and of what it held while it ran."""

TIMEOUT_SECONDS: Final = 15
"""Longer than a request is ever held: what takes longer is a failure of the control process."""


def asker(front: Front) -> Json:
    """Return the filter; without an answer requests pass, or not if the front says so."""
    service = {
        "grpc_service": {"envoy_grpc": {"cluster_name": CLUSTER}},
        "transport_api_version": "V3",
    }
    return extension(
        ASKER,
        f"{FILTERS}.ratelimit.v3.RateLimit",
        domain=DOMAIN,
        rate_limit_service=service,
        timeout=f"{TIMEOUT_SECONDS}s",
        failure_mode_deny=not front.open_on_failure,
        status_on_error={"code": "ServiceUnavailable"},
        disable_x_envoy_ratelimited_header=True,
        rate_limits=[
            _question(_required("key", *CLAIMS, "ask")),
            _question(_required("spent", *CONTENDED)),
            _question(_marked()),
            _question(_required("gate", *GATE, source="ROUTE_ENTRY")),
            _end(),
        ],
    )


def _question(why: Json) -> Json:
    """Return a descriptor that exists only if its first entry does."""
    told = [_optional(claim, *CLAIMS, claim) for claim in TOLD]
    cluster: Json = {"destination_cluster": {}}
    return {"actions": [why, *told, cluster]}


TOLD: Final = ("jti", "sub", "rpm", "tpm", "parallel", "priority")
"""The claims that the service is told."""


def _end() -> Json:
    lease = _required(LEASE, ANSWERED, LEASE)
    return {"actions": [lease], "apply_on_stream_done": True}


def gated() -> Json:
    """Return the fields of a route whose requests are all asked about."""
    return {"metadata": {"filter_metadata": {GATE[0]: {GATE[1]: "1"}}}}


def _required(name: str, *where: str, source: str = "DYNAMIC") -> Json:
    return _metadata(name, where, source, skip=False)


def _optional(name: str, *where: str) -> Json:
    return _metadata(name, where, "DYNAMIC", skip=True)


def _metadata(name: str, where: tuple[str, ...], source: str, *, skip: bool) -> Json:
    place = metadata(*where)
    key = {"key": place["filter"], "path": place["path"]}
    found = {"descriptor_key": name, "metadata_key": key, "source": source}
    return {"metadata": {**found, "skip_if_absent": skip}}


def _marked() -> Json:
    return {"request_headers": {"header_name": MARK, "descriptor_key": "share"}}


def limiter(front: Front) -> Json:
    """Return how the control process is reached: beside Envoy, and nowhere else."""
    http: Json = {"explicit_http_config": {"http2_protocol_options": {}}}
    kinds = ("max_connections", "max_pending_requests", "max_requests")
    return loopback(
        CLUSTER,
        front.limiter_port,
        connect_timeout="0.25s",
        circuit_breakers={"thresholds": [dict.fromkeys(kinds, 65_536)]},
        typed_extension_protocol_options={HTTP: typed(HTTP, **http)},
    )
