"""The local cluster as a whole: up, and what makes it count as up."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import debian, golang, network, node
from e2e.cluster.configuration import ENDPOINT, Configuration
from e2e.cluster.daemon import Daemon, Supervisor
from e2e.cluster.image import ScratchImage, ctr, load
from e2e.cluster.places import Places
from e2e.cluster.shell import ClusterError, run, step, wait_until

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
DAEMONS = (
    "etcd",
    "containerd",
    "registry",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
)


@dataclass(frozen=True, slots=True)
class LocalCluster:
    """A one-node cluster in the given places."""

    places: Places

    @property
    def supervisor(self) -> Supervisor:
        """Keeps the cluster's daemons."""
        return Supervisor(self.places.run, self.places.logs)

    def kubectl(self, *argv: str, stdin: str | None = None) -> str:
        """Run kubectl as the administrator."""
        where = ("--kubeconfig", self.places.kubeconfig, "--cache-dir", self.places.run / "kubectl")
        return run(self.places.bin / "kubectl", *where, *argv, stdin=stdin)

    def up(self) -> None:
        """Bring the cluster to a Ready node; parts that run as described stay untouched."""
        debian.install(debian.PACKAGES)
        golang.build(golang.ALL, self.places.store, self.places.bin)
        self.places.run.mkdir(parents=True, exist_ok=True)
        configuration = Configuration.write(self.places)
        network.up(self.places.state / "ip_forward")
        self._start_runtime(configuration)
        self._start_control_plane(configuration)
        if self._ensure(configuration.workers()):
            with step("waiting for the node to be Ready"):
                wait_until(self._node_ready, 120, "the node is Ready")

    def status(self) -> dict[str, str]:
        """Each daemon's state, then the node's."""
        supervisor = self.supervisor
        states = {name: "running" if supervisor.running(name) else "stopped" for name in DAEMONS}
        alive = states["kube-apiserver"] == "running" and self._api_ready()
        return {**states, "node": "Ready" if alive and self._node_ready() else "not Ready"}

    def _ensure(self, daemons: Sequence[Daemon]) -> bool:
        """True when any of them had to be started."""
        started = [daemon.name for daemon in daemons if self.supervisor.ensure(daemon)]
        return bool(started)

    def _start_runtime(self, configuration: Configuration) -> None:
        if self._ensure(configuration.runtime()):
            with step("starting containerd and the image registry"):
                wait_until(self._containerd_ready, 60, "containerd answers")
        self._load_pause()

    def _containerd_ready(self) -> bool:
        self.supervisor.check("containerd")
        self.supervisor.check("registry")
        with suppress(ClusterError):
            return self.places.containerd_socket.exists() and bool(ctr(self.places, "version"))
        return False

    def _load_pause(self) -> None:
        if node.PAUSE_IMAGE not in ctr(self.places, "images", "ls", "-q").splitlines():
            binary = golang.stored(golang.PAUSE, self.places.store)
            load(self.places, ScratchImage(node.PAUSE_IMAGE, {"/pause": binary}, ("/pause",)))

    def _start_control_plane(self, configuration: Configuration) -> None:
        if self._ensure((configuration.etcd(), configuration.apiserver())):
            with step("starting etcd and the apiserver"):
                wait_until(self._api_ready, 120, "the apiserver is ready")

    def _api_ready(self) -> bool:
        for name in ("etcd", "kube-apiserver"):
            self.supervisor.check(name)
        return ready(f"{ENDPOINT.url}/readyz", self.places.pki)

    def _node_ready(self) -> bool:
        nodes = json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]
        conditions = [c for n in nodes for c in n["status"].get("conditions", [])]
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def ready(url: str, pki: Path) -> bool:
    """Whether the server answers 200 to us; False while it refuses or says it is not ready."""
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    try:
        with urllib.request.urlopen(url, timeout=5, context=context) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
