"""The filter that asks about contended requests: whose each is, as the module says before.

Other requests have no such filter, only a place for it. Whom it asks is the control process beside
it, by Envoy's global rate limit protocol.
"""

from typing import Final

from modelops.gateway.access import ASKED
from modelops.gateway.clusters import HTTP
from modelops.gateway.loopback import loopback
from modelops.gateway.snapshot import Front
from modelops.gateway.typed import FILTERS, STATE, Json, extension, metadata, typed

ASKER: Final = "modelops.limits"
CLUSTER: Final = "limiter"
DOMAIN: Final = "modelops"
ANSWERED: Final = "envoy.filters.http.ratelimit"
"""Where the service's words stand in a request's dynamic metadata."""

LEASE: Final = "lease"
"""The descriptor of a request that ends, and of what it held while it ran."""

TIMEOUT_SECONDS: Final = 15
"""Longer than a request is ever held: what takes longer is a failure of the control process."""


CONTENDED: Final = "modelops.contended"
"""The name of what the module keeps among the filter state of a request that is asked about."""


def asker(front: Front) -> Json:
    """Return the place of the filter, which is made where the module says so.

    It makes a client for itself: for each request that is more than all else here costs.
    """
    ask = extension("ask", f"{FILTERS}.composite.v3.ExecuteFilterAction", typed_config=_made(front))
    state = extension("state", STATE, key=CONTENDED)
    found = {"input": state, "exact_match_map": {"map": {"1": {"action": ask}}}}
    return extension(
        ASKER,
        "envoy.extensions.common.matching.v3.ExtensionWithMatcher",
        extension_config=extension("composite", f"{FILTERS}.composite.v3.Composite"),
        xds_matcher={"matcher_tree": found},
    )


def _made(front: Front) -> Json:
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
        rate_limits=[_question(), _end()],
    )


TOLD: Final = ("sub", "rpm", "tpm", "parallel", "priority")
"""What the service is told beside the key's id, without which it is not asked."""


def _question() -> Json:
    told = [_told(name, ASKED, name, skip=True) for name in TOLD]
    cluster: Json = {"destination_cluster": {}}
    return {"actions": [_told("jti", ASKED, "jti", skip=False), *told, cluster]}


def _end() -> Json:
    lease = _told(LEASE, ANSWERED, LEASE, skip=False)
    return {"actions": [lease], "apply_on_stream_done": True}


def _told(name: str, *where: str, skip: bool) -> Json:
    """Return an entry of a descriptor; without one that is not skipped there is none."""
    place = metadata(*where)
    key = {"key": place["filter"], "path": place["path"]}
    return {"metadata": {"descriptor_key": name, "metadata_key": key, "skip_if_absent": skip}}


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
