"""Everything the daemons read: keys, kubeconfigs and rendered configuration files."""

import json
from dataclasses import dataclass
from pathlib import Path

from e2e.cluster import controlplane, golang, network, node
from e2e.cluster.controlplane import Credentials, Endpoint
from e2e.cluster.daemon import Daemon
from e2e.cluster.pki import kubeconfig
from e2e.cluster.places import Places

ENDPOINT = Endpoint(network.NODE_IP, 6443, network.SERVICE_RANGE)
API_HOSTS = (
    network.NODE_IP,
    network.API_SERVICE_IP,
    "127.0.0.1",
    "localhost",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)


@dataclass(frozen=True, slots=True)
class Configuration:
    """The files of one cluster and the daemons that read them."""

    places: Places
    keys: Credentials

    @classmethod
    def write(cls, places: Places) -> "Configuration":
        """Write every file; what is already as it should be keeps its content."""
        keys = Credentials.create(places.pki, API_HOSTS)
        configuration = cls(places, keys)
        configuration._write_kubeconfigs()
        configuration._write_files()
        return configuration

    def runtime(self) -> tuple[Daemon, ...]:
        """What runs below Kubernetes."""
        containerd, registry = self._file("containerd.toml"), self._file("registry.json")
        return (
            Daemon("containerd", ("containerd", "--config", str(containerd)), files=(containerd,)),
            Daemon("registry", ("docker-registry", "serve", str(registry)), files=(registry,)),
        )

    def etcd(self) -> Daemon:
        """The store behind the apiserver."""
        return controlplane.etcd(
            self._binary(golang.ETCD), self.places.state / "etcd", self._etcd_socket
        )

    def apiserver(self) -> Daemon:
        """The API on the bridge."""
        return controlplane.apiserver(
            self._binary(golang.APISERVER), self.keys, ENDPOINT, self._etcd_socket
        )

    def workers(self) -> tuple[Daemon, ...]:
        """What runs against the apiserver."""
        return (
            controlplane.controller_manager(
                self._binary(golang.CONTROLLER_MANAGER),
                self.keys,
                self._file("kube-controller-manager.kubeconfig"),
            ),
            controlplane.scheduler(
                self._binary(golang.SCHEDULER),
                self.keys,
                self._file("kube-scheduler.kubeconfig"),
            ),
            self._kubelet(),
            self._proxy(),
            self._volumes(),
        )

    def _kubelet(self) -> Daemon:
        credentials, config = self._file("kubelet.kubeconfig"), self._file("kubelet.json")
        argv = (
            str(self._binary(golang.KUBELET)),
            f"--config={config}",
            f"--kubeconfig={credentials}",
            f"--root-dir={self.places.state / 'kubelet'}",
            f"--cert-dir={self.places.pki}",
            f"--hostname-override={node.NAME}",
            f"--node-ip={network.NODE_IP}",
        )
        return Daemon("kubelet", argv, files=(credentials, config))

    def _proxy(self) -> Daemon:
        config = self._file("kube-proxy.json")
        argv = (str(self._binary(golang.PROXY)), f"--config={config}")
        return Daemon("kube-proxy", argv, files=(config,))

    def _volumes(self) -> Daemon:
        credentials = self._file("volumes.kubeconfig")
        argv = (
            str(self._binary(golang.VOLUMES)),
            f"-kubeconfig={credentials}",
            f"-root={self.places.volumes}",
        )
        return Daemon("volumes", argv, files=(credentials,))

    def _write_kubeconfigs(self) -> None:
        for name, subject in controlplane.CLIENT_SUBJECTS.items():
            target = self.places.kubeconfig if name == "admin" else self._file(f"{name}.kubeconfig")
            pair = self.keys.ca.issue(name, subject)
            write_if_changed(target, kubeconfig(ENDPOINT.url, self.keys.ca, name, pair))
        subject = f"/O=system:nodes/CN=system:node:{node.NAME}"
        pair = self.keys.ca.issue("kubelet", subject, (node.NAME, network.NODE_IP))
        text = kubeconfig(ENDPOINT.url, self.keys.ca, "kubelet", pair)
        write_if_changed(self._file("kubelet.kubeconfig"), text)

    def _write_files(self) -> None:
        places = self.places
        texts = {
            "containerd.toml": node.containerd(places),
            f"registries/{node.REGISTRY}/hosts.toml": node.registry_host(),
            "registry.json": _json(node.registry(places)),
            "kubelet.json": _json(node.kubelet(places)),
            "kube-proxy.json": _json(node.proxy(places)),
            "cni/10-modelops.conflist": _json(network.cni(places.state / "cni")),
        }
        for name, text in texts.items():
            write_if_changed(self._file(name), text)

    def _file(self, name: str) -> Path:
        return self.places.config / name

    def _binary(self, binary: golang.Binary) -> Path:
        return golang.stored(binary, self.places.store)

    @property
    def _etcd_socket(self) -> Path:
        return self.places.run / "etcd.sock"


def write_if_changed(path: Path, text: str) -> None:
    """Write for the owner's eyes; a file that is right stays untouched: kube-proxy watches its."""
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)


def _json(document: object) -> str:
    return json.dumps(document, indent=2) + "\n"
