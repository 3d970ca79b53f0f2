"""etcd and kube-apiserver alone, on loopback: what integration tests talk to."""

import json
import shutil
import socket
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from e2e.cluster import controlplane, golang
from e2e.cluster.controlplane import Credentials, Endpoint
from e2e.cluster.daemon import Daemon, Supervisor
from e2e.cluster.health import get
from e2e.cluster.pki import kubeconfig
from e2e.cluster.places import Places
from e2e.cluster.shell import ClusterError, wait_until

LOOPBACK = "127.0.0.1"
SERVICE_RANGE = "198.19.0.0/16"
LONGEST_DIRECTORY = 107 - len("/etcd.sock.peer")
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["ResponseStarted", "ResponseComplete", "Panic"],
    "rules": [{"level": "Metadata"}],
}


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """A real API with RBAC, admission and CRDs, but no controllers: nothing acts on objects.

    So Deployments make no pods, namespaces stay `Terminating` on delete, and owners' children are
    not collected. Use as a context manager, or call `start` and `stop`. With `audit`, that file
    gets one JSON line (audit.k8s.io/v1 Event, level Metadata) when a request is received.
    """

    directory: Path
    port: int
    binaries: Places
    audit: Path | None = None

    @classmethod
    def create(
        cls, directory: Path | None = None, port: int = 0, audit: Path | None = None
    ) -> "ControlPlane":
        """A control plane in the directory (default: a new temporary one) on a free port."""
        where = (directory or Path(tempfile.mkdtemp(prefix="modelops-api-"))).absolute()
        if len(str(where)) > LONGEST_DIRECTORY:
            raise ClusterError(f"{where} is too long for a unix socket; choose a shorter directory")
        return cls(where, port or free_port(), Places.of_environment(), audit)

    @property
    def kubeconfig(self) -> Path:
        """Credentials of a member of system:masters."""
        return self.directory / "kubeconfig"

    @property
    def url(self) -> str:
        """The apiserver's address."""
        return self._endpoint.url

    def start(self) -> None:
        """Build binaries that are missing, start etcd and the apiserver, return when ready."""
        golang.build((golang.ETCD, golang.APISERVER), self.binaries.store, self.binaries.bin)
        self.directory.mkdir(parents=True, exist_ok=True)
        etcd = golang.stored(golang.ETCD, self.binaries.store)
        self._supervisor.ensure(controlplane.etcd(etcd, self.directory / "etcd", self._socket))
        self.start_apiserver()

    def start_apiserver(self) -> None:
        """Start the apiserver on the data there is; returns when it is ready."""
        keys = Credentials.create(self.directory / "pki", (LOOPBACK, "localhost"))
        admin = keys.ca.issue("admin", controlplane.CLIENT_SUBJECTS["admin"])
        if not self.kubeconfig.exists():
            self.kubeconfig.touch(mode=0o600)
            self.kubeconfig.write_text(kubeconfig(self.url, keys.ca, "admin", admin))
        self._supervisor.ensure(self._apiserver(keys))
        wait_until(self._ready, 60, "the apiserver is ready")

    def stop_apiserver(self) -> None:
        """Make the API unreachable at once; its data stay."""
        self._supervisor.stop("kube-apiserver", grace_seconds=0)

    def stop(self) -> None:
        """End both processes and remove the directory."""
        self.stop_apiserver()
        self._supervisor.stop("etcd", grace_seconds=0)
        shutil.rmtree(self.directory)

    def __enter__(self) -> Self:
        """Start."""
        try:
            self.start()
        except BaseException:
            with suppress(OSError):
                self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()

    def _apiserver(self, keys: Credentials) -> Daemon:
        binary = golang.stored(golang.APISERVER, self.binaries.store)
        extra = ("--endpoint-reconciler-type=none", *self._audit_flags())
        return controlplane.apiserver(binary, keys, self._endpoint, self._socket, extra)

    def _audit_flags(self) -> tuple[str, ...]:
        if self.audit is None:
            return ()
        policy = self.directory / "audit-policy.json"
        policy.write_text(json.dumps(AUDIT_POLICY))
        # Blocking: a test that reads the file after a call finds the call in it.
        return (
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit.absolute()}",
            "--audit-log-mode=blocking",
        )

    def _ready(self) -> bool:
        for name in ("etcd", "kube-apiserver"):
            self._supervisor.check(name)
        return get(f"{self.url}/readyz", self.directory / "pki") is not None

    @property
    def _endpoint(self) -> Endpoint:
        return Endpoint(LOOPBACK, self.port, SERVICE_RANGE)

    @property
    def _socket(self) -> Path:
        return self.directory / "etcd.sock"

    @property
    def _supervisor(self) -> Supervisor:
        return Supervisor(self.directory / "run", self.directory / "logs")


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])
