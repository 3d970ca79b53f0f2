"""What is true of the running cluster, asked of the parts themselves."""

import json
import socket
import ssl
import struct
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any

from e2e.cluster import network, node
from e2e.cluster.configuration import ENDPOINT
from e2e.cluster.containerd import ctr
from e2e.cluster.daemon import Supervisor
from e2e.cluster.places import Places
from e2e.cluster.shell import ClusterError

DAEMONS = (
    "etcd",
    "containerd",
    "registry",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "volumes",
)
# The node object may tell of an earlier kubelet, and kube-proxy is well once it has its rules.
HEALTHZ = ("http://127.0.0.1:10248/healthz", f"http://{network.NODE_IP}:10256/healthz")


@dataclass(frozen=True, slots=True)
class Health:
    """Questions with yes or no answers; ClusterError when a daemon asked about has died."""

    places: Places

    def containerd(self) -> bool:
        """containerd and the registry answer."""
        self._alive("containerd", "registry")
        with suppress(ClusterError, OSError):
            host, _, port = node.REGISTRY.partition(":")
            socket.create_connection((host, int(port)), timeout=1).close()
            return bool(ctr(self.places, "version"))
        return False

    def api(self) -> bool:
        """The apiserver says that it is ready."""
        self._alive("etcd", "kube-apiserver")
        return get(f"{ENDPOINT.url}/readyz", self.places.pki) is not None

    def settled(self) -> bool:
        """The node is Ready, DNS answers through its Service, and no worker has died."""
        self._alive(*DAEMONS)
        return all(healthy(url) for url in HEALTHZ) and self.node() and dns_answers()

    def node(self) -> bool:
        """The node's Ready condition."""
        found = get(f"{ENDPOINT.url}/api/v1/nodes/{node.NAME}", self.places.pki)
        return found is not None and node_is_ready(json.loads(found))

    def summary(self) -> dict[str, str]:
        """Each daemon's state, then the node's and DNS's."""
        supervisor = Supervisor(self.places.run, self.places.logs)
        states = {name: "running" if supervisor.running(name) else "stopped" for name in DAEMONS}
        up = states["kube-apiserver"] == "running"
        states["node"] = "Ready" if up and self.node() else "not Ready"
        states["dns"] = "answers" if up and dns_answers() else "does not answer"
        return states

    def _alive(self, *names: str) -> None:
        supervisor = Supervisor(self.places.run, self.places.logs)
        for name in names:
            supervisor.check(name)


def node_is_ready(document: dict[str, Any]) -> bool:
    """Whether a Node object says that it is Ready and takes pods."""
    conditions = {c["type"]: c["status"] for c in document["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and not document["spec"].get("taints")


def get(url: str, pki: Path) -> bytes | None:
    """The body the apiserver gives the administrator; None while it does not answer 200."""
    try:
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        request = urllib.request.Request(url)  # noqa: S310  # always the apiserver's https
        with urllib.request.urlopen(request, timeout=5, context=context) as response:  # noqa: S310
            return bytes(response.read())
    except (OSError, HTTPException):
        return None


def healthy(url: str) -> bool:
    """Whether a plain health endpoint answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310  # one of HEALTHZ
            return bool(response.status == HTTPStatus.OK)
    except (OSError, HTTPException):
        return False


def dns_answers() -> bool:
    """Whether the DNS Service resolves the apiserver's own Service."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        try:
            client.sendto(dns_query("kubernetes.default.svc.cluster.local"), (network.DNS_IP, 53))
            return client.recv(512).endswith(socket.inet_aton(network.API_SERVICE_IP))
        except OSError:
            return False


def dns_query(name: str) -> bytes:
    """A DNS question for the name's A record."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">6H", 1, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", 1, 1)
