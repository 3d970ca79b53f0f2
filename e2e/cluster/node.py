"""The node: containerd, the image registry, the kubelet and kube-proxy."""

from pathlib import Path
from typing import Any

from e2e.cluster import golang, network
from e2e.cluster.places import Places

NAME = "modelops"
REGISTRY = f"{network.NODE_IP}:5000"
PAUSE_IMAGE = f"localhost/pause:v1-{golang.recipe(golang.PAUSE)}"


def containerd(places: Places) -> str:
    """containerd's configuration: own root, state and socket, so that it disturbs no other."""
    return f"""version = 2
root = "{places.images}"
state = "{places.state}/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing"]

[grpc]
  address = "{places.containerd_socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Lowering one's own OOM score needs CAP_SYS_RESOURCE, which root lacks inside many sandboxes.
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  max_concurrent_downloads = 4

[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "{places.config}/registries"

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{network.CNI_PLUGINS}"
  conf_dir = "{places.config}/cni"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  # A layer is kept once, unpacked: engines are gigabytes.
  discard_unpacked_layers = true

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  Root = "{places.state}/runc"
  SystemdCgroup = false
"""


def registry_host() -> str:
    """containerd's hosts.toml for the local registry, which speaks plain HTTP on the bridge."""
    return f'server = "http://{REGISTRY}"\n\n[host."http://{REGISTRY}"]\n  skip_verify = true\n'


def registry(places: Places) -> dict[str, Any]:
    """The registry's configuration (JSON, which its YAML reader takes)."""
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {
            "filesystem": {"rootdirectory": str(places.registry)},
            "delete": {"enabled": True},
        },
        "http": {"addr": REGISTRY, "headers": {"X-Content-Type-Options": ["nosniff"]}},
    }


def kubelet(places: Places) -> dict[str, Any]:
    """The kubelet's configuration; works on cgroup v1 and v2 (the cgroupfs driver finds out)."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": network.NODE_IP,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(places.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(places.pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(places.pki / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{places.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "enforceNodeAllocatable": [],
        "failSwapOn": False,
        "failCgroupV1": False,
        "makeIPTablesUtilChains": False,
        "clusterDomain": "cluster.local",
        "clusterDNS": [network.DNS_IP],
        "podLogsDir": str(places.state / "pods"),
        "volumePluginDir": str(places.state / "volume-plugins"),
        "serializeImagePulls": False,
        # A laptop's disk is often nearly full; images are dear and are kept.
        "imageGCHighThresholdPercent": 100,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "nodefs.inodesFree": "1%",
            "imagefs.available": "1%",
        },
    }


def proxy(places: Places) -> dict[str, Any]:
    """kube-proxy's configuration: nftables, everything masqueraded, no conntrack sysctls."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        # Pods share the bridge with the node: without masquerade a reply would skip the NAT.
        "nftables": {"masqueradeAll": True},
        "bindAddress": network.NODE_IP,
        "healthzBindAddress": f"{network.NODE_IP}:10256",
        "metricsBindAddress": "127.0.0.1:10249",
        "nodePortAddresses": [network.RANGE],
        "hostnameOverride": NAME,
        "clientConnection": {"kubeconfig": str(places.config / "kube-proxy.kubeconfig")},
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpEstablishedTimeout": "0s",
            "tcpCloseWaitTimeout": "0s",
        },
    }


def cgroup_roots(base: Path = Path("/sys/fs/cgroup")) -> list[Path]:
    """The mounted cgroup hierarchies: the base itself on v2, one per controller on v1."""
    if (base / "cgroup.procs").exists():
        return [base]
    return sorted(path for path in base.iterdir() if (path / "cgroup.procs").exists())
