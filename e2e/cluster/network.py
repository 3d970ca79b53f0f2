"""One bridge carries the node, the pods and the route to services; nothing leaves the machine."""

import json
import socket
import subprocess
from pathlib import Path
from typing import Any

from e2e.cluster.shell import ClusterError, run

BRIDGE = "modelops0"
NODE_IP = "198.18.0.1"
RANGE = "198.18.0.0/16"
SERVICE_RANGE = "198.19.0.0/16"
API_SERVICE_IP = "198.19.0.1"
DNS_IP = "198.19.0.10"
CNI_NAME = "modelops-local"
CNI_PLUGINS = Path("/usr/lib/cni")
TABLE = "modelops-local"
FORWARD = Path("/proc/sys/net/ipv4/ip_forward")


def cni(leases: Path) -> dict[str, Any]:
    """The CNI configuration: the bridge plugin with addresses above the node's own /24."""
    pool = {"subnet": RANGE, "rangeStart": "198.18.1.0", "rangeEnd": "198.18.255.250"}
    bridge = {
        "type": "bridge",
        "bridge": BRIDGE,
        "isGateway": True,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": str(leases),
            "ranges": [[{**pool, "gateway": NODE_IP}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    loopback = {"type": "loopback"}
    return {"cniVersion": "1.0.0", "name": CNI_NAME, "plugins": [bridge, loopback]}


def rules() -> str:
    """Refuse at once what pods send outside, rather than leak odd addresses and let them hang."""
    return f"""
table ip {TABLE} {{}}
delete table ip {TABLE}
table ip {TABLE} {{
  chain forward {{
    type filter hook forward priority filter;
    ip saddr {RANGE} oifname != "{BRIDGE}" reject with icmp type net-prohibited
  }}
}}
"""


def up(saved_forward: Path) -> None:
    """Make the bridge, its address, the service route and the rules; keep what is there."""
    exists = _bridge_exists()
    if exists and not saved_forward.exists():
        raise ClusterError(
            f"the bridge {BRIDGE} is another local cluster's: end that one first,"
            " with `python3 -m e2e.cluster down` and its MODELOPS_STATE"
        )
    if not saved_forward.exists():
        saved_forward.write_text(FORWARD.read_text())
    if not exists:
        run("ip", "link", "add", BRIDGE, "type", "bridge")
    run("ip", "address", "replace", f"{NODE_IP}/16", "dev", BRIDGE)
    run("ip", "link", "set", BRIDGE, "up")
    run("ip", "route", "replace", SERVICE_RANGE, "dev", BRIDGE, "src", NODE_IP)
    run("nft", "-f", "-", stdin=rules())
    FORWARD.write_text("1\n")


def down(saved_forward: Path) -> None:
    """Remove the bridge and every nftables table of the cluster; restore forwarding."""
    if _bridge_exists():
        run("ip", "link", "delete", BRIDGE)
    for family, table in _tables():
        if table == TABLE or table.startswith("kube-proxy"):
            run("nft", "delete", "table", family, table)
    if saved_forward.exists():
        FORWARD.write_text(saved_forward.read_text())


def _bridge_exists() -> bool:
    return BRIDGE in [name for _, name in socket.if_nameindex()]


def _tables() -> list[tuple[str, str]]:
    try:
        listing = subprocess.run(
            ["nft", "-j", "list", "tables"], text=True, capture_output=True, check=False
        ).stdout
    except FileNotFoundError:
        return []
    entries = json.loads(listing or '{"nftables": []}')["nftables"]
    return [(e["table"]["family"], e["table"]["name"]) for e in entries if "table" in e]
