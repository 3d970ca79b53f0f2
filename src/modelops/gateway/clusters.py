"""Where models answer: one cluster a model, with its replicas.

Replicas stand in the cluster and not in files of their own (EDS): Envoy takes an inotify instance
for each such file, of which a node has 128. A cluster whose replicas change is exchanged; requests
in flight stay on the old one until they end.
"""

from typing import Final

from modelops.gateway import waking
from modelops.gateway.affinity import bounded, policy, ring
from modelops.gateway.snapshot import Endpoint, Model
from modelops.gateway.typed import Json, typed

CONNECT_SECONDS: Final = 2
IDLE_SECONDS: Final = 3
"""Engines close idle connections after 5 s: ours are closed before, so that none is lost."""

LONGEST_EJECTION_SECONDS: Final = 30
MOST: Final = 65_536
"""Connections and requests of a model in flight; engines queue by themselves."""

SPOKEN: Final[Json] = {"http_protocol_options": {}}
"""HTTP/1.1, as all engines speak it; trailers are left out."""

HTTP: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
"""What says how a cluster speaks HTTP."""


def cluster(model: Model, activator: int, *, chained: bool = False) -> Json:
    """Return how a model's replicas are reached: by load or by key, sick ones not.

    Where another model stands in, none that is sick is tried: in a chain all may be left out.
    ``activator`` is the port of what stands in for the replicas of a model at zero.
    """
    http = {
        "explicit_http_config": SPOKEN,
        "common_http_protocol_options": {"idle_timeout": f"{IDLE_SECONDS}s"},
    }
    return typed(
        "envoy.config.cluster.v3.Cluster",
        name=model.cluster,
        type="STATIC",
        load_assignment=_assignment(model, activator),
        lb_policy=policy(model),
        **ring(model),
        connect_timeout=f"{CONNECT_SECONDS}s",
        common_lb_config={
            "healthy_panic_threshold": {"value": 0},
            "update_merge_window": "0s",  # else a second ejection counts a second later
            **bounded(model),
        },
        circuit_breakers=no_limits(),
        **_watched(model, 100 if chained else 50),
        typed_extension_protocol_options={HTTP: typed(HTTP, **http)},
    )


def _watched(model: Model, percent: int) -> Json:
    """Return how sick replicas are found, of which so many may be left out.

    Where only the activator is it is not judged: its refusals are no sickness.
    """
    if model.may_rest and not model.endpoints:
        return {}
    limits = {
        "consecutive_gateway_failure": 3,
        "enforcing_consecutive_gateway_failure": 100,
        "enforcing_consecutive_5xx": 0,
        "enforcing_success_rate": 0,
        "interval": "1s",
        "base_ejection_time": "5s",
        "max_ejection_percent": percent,
        "max_ejection_time": f"{LONGEST_EJECTION_SECONDS}s",
    }
    return {"outlier_detection": limits}


def no_limits() -> Json:
    """Return circuit breakers that never break."""
    kinds = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    return {"thresholds": [dict.fromkeys(kinds, MOST)]}


def _assignment(model: Model, activator: int) -> Json:
    found = [_endpoint(endpoint) for endpoint in sorted(model.endpoints)]
    return {"cluster_name": model.cluster, **waking.places(model, found, activator)}


def _endpoint(endpoint: Endpoint) -> Json:
    address = {"address": endpoint.address, "port_value": endpoint.port}
    return {"endpoint": {"address": {"socket_address": address}}}
