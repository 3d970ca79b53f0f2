"""What answers beside Envoy in its own pod."""

from typing import Any, Final

from modelops.gateway.typed import Json

LOOPBACK: Final = "127.0.0.1"


def loopback(name: str, port: int, **fields: Any) -> Json:
    """Return the cluster of what listens on that port of the pod's loopback."""
    address = {"address": LOOPBACK, "port_value": port}
    endpoint = {"endpoint": {"address": {"socket_address": address}}}
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
        **fields,
    }
