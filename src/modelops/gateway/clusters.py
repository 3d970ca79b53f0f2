"""Where models answer: one cluster a model, whose replicas stand in a file of its own."""

from typing import Final

from modelops.gateway.snapshot import Endpoint, Front, Model
from modelops.gateway.typed import Json, file_source, typed

CONNECT_SECONDS: Final = 2
IDLE_SECONDS: Final = 3
"""Engines close idle connections after 5 s: ours are closed before, so that none is lost."""

MOST: Final = 65_536
"""Connections and requests of a model in flight; engines queue by themselves."""

_HTTP: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def endpoints_file(model: Model) -> str:
    """Return the name of the file that lists a model's replicas."""
    return f"endpoints/{model.cluster}.json"


def cluster(model: Model, front: Front) -> Json:
    """Return how a model's replicas are reached: the least busy one first, sick ones not."""
    http = {
        "explicit_http_config": {"http_protocol_options": {}},
        "common_http_protocol_options": {"idle_timeout": f"{IDLE_SECONDS}s"},
    }
    source = file_source(f"{front.folder}/{endpoints_file(model)}")
    return typed(
        "envoy.config.cluster.v3.Cluster",
        name=model.cluster,
        type="EDS",
        eds_cluster_config={"eds_config": source},
        lb_policy="LEAST_REQUEST",
        connect_timeout=f"{CONNECT_SECONDS}s",
        common_lb_config={"healthy_panic_threshold": {"value": 0}},
        circuit_breakers={"thresholds": [_thresholds()]},
        outlier_detection={
            "consecutive_gateway_failure": 3,
            "enforcing_consecutive_gateway_failure": 100,
            "enforcing_consecutive_5xx": 0,
            "enforcing_success_rate": 0,
            "base_ejection_time": "5s",
            "max_ejection_percent": 50,
        },
        typed_extension_protocol_options={_HTTP: typed(_HTTP, **http)},
    )


def _thresholds() -> Json:
    kinds = ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    return dict.fromkeys(kinds, MOST)


def assignment(model: Model) -> Json:
    """Return the replicas of a model."""
    return typed(
        "envoy.config.endpoint.v3.ClusterLoadAssignment",
        cluster_name=model.cluster,
        endpoints=[{"lb_endpoints": [_endpoint(e) for e in sorted(model.endpoints)]}],
    )


def _endpoint(endpoint: Endpoint) -> Json:
    address = {"address": endpoint.address, "port_value": endpoint.port}
    return {"endpoint": {"address": {"socket_address": address}}}
