"""Where the local cluster keeps what it builds and what it runs."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Places:
    """The cache (can be rebuilt, survives `down`) and the state (gone after `down`)."""

    cache: Path
    state: Path

    @classmethod
    def of_environment(cls) -> "Places":
        """MODELOPS_CACHE and MODELOPS_STATE, or their defaults."""
        home = Path.home() / ".cache" / "modelops"
        return cls(
            cache=Path(os.environ.get("MODELOPS_CACHE") or home).absolute(),
            state=Path(os.environ.get("MODELOPS_STATE") or "/var/lib/modelops-local").absolute(),
        )

    @property
    def bin(self) -> Path:
        """The directory with kubectl, helm and the cluster's binaries under plain names."""
        return self.cache / "bin"

    @property
    def store(self) -> Path:
        """Binaries by name, version and build recipe."""
        return self.cache / "builds"

    @property
    def images(self) -> Path:
        """containerd's content and unpacked layers: addressed by content, dear to rebuild."""
        return self.cache / "containerd"

    @property
    def registry(self) -> Path:
        """The registry's blobs: addressed by content, so they outlive the cluster."""
        return self.cache / "registry"

    @property
    def lock(self) -> Path:
        """Held by `up`, `down` and `purge`; in the cache, because the state comes and goes."""
        return self.cache / ".lock"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.state / "pki"

    @property
    def config(self) -> Path:
        """Rendered configuration files."""
        return self.state / "config"

    @property
    def logs(self) -> Path:
        """One log file per daemon."""
        return self.state / "logs"

    @property
    def run(self) -> Path:
        """Pid files and sockets."""
        return self.state / "run"

    @property
    def volumes(self) -> Path:
        """Directories behind PersistentVolumes."""
        return self.state / "volumes"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def saved_forward(self) -> Path:
        """What ip_forward was; while it exists, bridge and pods on this machine are ours."""
        return self.state / "ip_forward"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd listens."""
        return self.run / "containerd.sock"
