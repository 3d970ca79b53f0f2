"""What Envoy starts with, once: the listeners, and where everything else is read from."""

from typing import Final

from modelops.gateway import joblead, tracing
from modelops.gateway.contention import limiter
from modelops.gateway.listener import MANAGER, listener
from modelops.gateway.loopback import LOOPBACK, loopback
from modelops.gateway.module import counting
from modelops.gateway.overload import overload
from modelops.gateway.snapshot import Front
from modelops.gateway.typed import FILTERS, Json, extension, file_source, typed
from modelops.gateway.usage import FORGOTTEN_SECONDS, counted

RUNTIME: Final = {"re2.max_program_size.error_level": 1_000_000}
"""A thousand tenants make an expression larger than the 100 of Envoy's, which would be refused."""


def bootstrap(front: Front) -> Json:
    """Return Envoy's bootstrap configuration."""
    return {
        "node": {"id": "gateway", "cluster": "modelops"},
        "admin": {"address": _address(LOOPBACK, front.admin_port)},
        "dynamic_resources": {"cds_config": file_source(f"{front.folder}/clusters.json")},
        "static_resources": {
            "listeners": [listener(front), _metrics(front)],
            "clusters": [
                loopback("admin", front.admin_port, connect_timeout="1s"),
                limiter(front),
                joblead.cluster(front),
                *_collector(front),
            ],
        },
        "layered_runtime": {"layers": [{"name": "own", "static_layer": RUNTIME}]},
        "bootstrap_extensions": [counting(**counted(FORGOTTEN_SECONDS))],
        "overload_manager": overload(front),
    }


def _admin(front: Front) -> Json:
    return loopback("admin", front.admin_port, connect_timeout="1s")


def _collector(front: Front) -> list[Json]:
    return [tracing.cluster(front.collector)] if front.collector else []


def _address(address: str, port: int) -> Json:
    return {"socket_address": {"address": address, "port_value": port}}


def _metrics(front: Front) -> Json:
    """Return the listener for probes and scrapes: two paths of Envoy's own, and no other.

    Counts of single API keys are not there: the control process adds them up.
    """
    routes = [_own("/ready", "/ready"), _own("/stats/prometheus", "/stats/prometheus")]
    host = {"name": "admin", "domains": ["*"], "routes": routes}
    manager = typed(
        MANAGER,
        stat_prefix="metrics",
        route_config={"name": "admin", "virtual_hosts": [host]},
        http_filters=[extension("router", f"{FILTERS}.router.v3.Router")],
    )
    return {
        "name": "metrics",
        "address": _address(front.address, front.metrics_port),
        "ignore_global_conn_limit": True,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def _own(path: str, asked: str) -> Json:
    get = {"name": ":method", "string_match": {"exact": "GET"}}
    route = {"cluster": "admin", "prefix_rewrite": asked}
    return {"match": {"path": path, "headers": [get]}, "route": route}
