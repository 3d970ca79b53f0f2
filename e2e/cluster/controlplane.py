"""The command lines of etcd, the apiserver, the controller-manager and the scheduler."""

from dataclasses import dataclass
from pathlib import Path

from e2e.cluster.daemon import Daemon
from e2e.cluster.pki import Authority, Pair, signing_key

CLIENT_SUBJECTS = {
    "admin": "/O=system:masters/CN=admin",
    "kube-controller-manager": "/CN=system:kube-controller-manager",
    "kube-scheduler": "/CN=system:kube-scheduler",
    "kube-proxy": "/CN=system:kube-proxy",
    "volumes": "/CN=system:volume-provisioner",
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """The keys of one control plane, all in one directory."""

    ca: Authority
    front_proxy_ca: Authority
    server: Pair
    kubelet_client: Pair
    front_proxy: Pair
    service_accounts: Pair

    @classmethod
    def create(cls, directory: Path, hosts: tuple[str, ...]) -> "Credentials":
        """Make what is missing; `hosts` are the names the apiserver answers to."""
        ca, front = Authority(directory, "ca"), Authority(directory, "front-proxy-ca")
        ca.create()
        front.create()
        return cls(
            ca=ca,
            front_proxy_ca=front,
            server=ca.issue("kube-apiserver", "/CN=kube-apiserver", hosts),
            kubelet_client=ca.issue("kubelet-client", "/O=system:masters/CN=kubelet-client"),
            front_proxy=front.issue("front-proxy-client", "/CN=front-proxy-client"),
            service_accounts=signing_key(directory),
        )


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an apiserver listens and the service range it hands out."""

    address: str
    port: int
    service_range: str

    @property
    def url(self) -> str:
        """The server of a kubeconfig."""
        return f"https://{self.address}:{self.port}"


def etcd(binary: Path, data: Path, socket: Path) -> Daemon:
    """etcd on unix sockets: no port to clash with, and no pod can reach it."""
    advertised = "http://localhost:2380"  # a lone member is never called, but must have a name
    argv = (
        str(binary),
        "--name=local",
        f"--data-dir={data}",
        f"--listen-client-urls=unix://{socket}",
        f"--advertise-client-urls={advertised}",
        f"--listen-peer-urls=unix://{socket}.peer",
        f"--initial-advertise-peer-urls={advertised}",
        f"--initial-cluster=local={advertised}",
        # Only a crash of the whole machine can lose writes, and `up` starts afresh after one.
        "--unsafe-no-fsync",
        "--log-level=warn",
    )
    return Daemon("etcd", argv)


def apiserver(
    binary: Path,
    credentials: Credentials,
    endpoint: Endpoint,
    etcd_socket: Path,
    extra: tuple[str, ...] = (),
) -> Daemon:
    """kube-apiserver with RBAC, Pod Security, service account tokens and aggregation."""
    keys = credentials
    argv = (
        str(binary),
        f"--etcd-servers=unix://{etcd_socket}",
        f"--bind-address={endpoint.address}",
        f"--advertise-address={endpoint.address}",
        f"--secure-port={endpoint.port}",
        f"--service-cluster-ip-range={endpoint.service_range}",
        f"--cert-dir={keys.ca.directory}",
        f"--client-ca-file={keys.ca.certificate}",
        f"--tls-cert-file={keys.server.certificate}",
        f"--tls-private-key-file={keys.server.key}",
        f"--kubelet-certificate-authority={keys.ca.certificate}",
        f"--kubelet-client-certificate={keys.kubelet_client.certificate}",
        f"--kubelet-client-key={keys.kubelet_client.key}",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={keys.service_accounts.certificate}",
        f"--service-account-signing-key-file={keys.service_accounts.key}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        *_aggregation(keys),
        *extra,
    )
    return Daemon("kube-apiserver", argv)


def _aggregation(keys: Credentials) -> tuple[str, ...]:
    """What an aggregated API (a metrics adapter) needs."""
    return (
        f"--requestheader-client-ca-file={keys.front_proxy_ca.certificate}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={keys.front_proxy.certificate}",
        f"--proxy-client-key-file={keys.front_proxy.key}",
        "--enable-aggregator-routing=true",
    )


def controller_manager(binary: Path, credentials: Credentials, kubeconfig: Path) -> Daemon:
    """kube-controller-manager: signs certificates, mints service accounts, runs every loop."""
    ca = credentials.ca.certificate
    argv = (
        str(binary),
        *_delegation(kubeconfig),
        "--bind-address=127.0.0.1",
        f"--cert-dir={credentials.ca.directory}/controller-manager",
        f"--root-ca-file={ca}",
        f"--client-ca-file={ca}",
        f"--cluster-signing-cert-file={ca}",
        f"--cluster-signing-key-file={ca.with_suffix('.key')}",
        f"--requestheader-client-ca-file={credentials.front_proxy_ca.certificate}",
        f"--service-account-private-key-file={credentials.service_accounts.key}",
        "--use-service-account-credentials=true",
        # Every controller asks for its own token at start: at 20 requests a second that takes 5 s.
        "--kube-api-qps=200",
        "--kube-api-burst=400",
        f"--flex-volume-plugin-dir={credentials.ca.directory.parent / 'volume-plugins'}",
        "--leader-elect=false",
    )
    return Daemon("kube-controller-manager", argv, files=(kubeconfig,))


def scheduler(binary: Path, credentials: Credentials, kubeconfig: Path) -> Daemon:
    """kube-scheduler with its default profile."""
    argv = (
        str(binary),
        *_delegation(kubeconfig),
        "--bind-address=127.0.0.1",
        f"--cert-dir={credentials.ca.directory}/scheduler",
        f"--client-ca-file={credentials.ca.certificate}",
        f"--requestheader-client-ca-file={credentials.front_proxy_ca.certificate}",
        "--leader-elect=false",
    )
    return Daemon("kube-scheduler", argv, files=(kubeconfig,))


def _delegation(kubeconfig: Path) -> tuple[str, ...]:
    names = ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
    return tuple(f"--{name}={kubeconfig}" for name in names)
