"""What the daemons of the local cluster are told."""

import ipaddress
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from e2e.cluster import addons, controlplane, golang, network, node
from e2e.cluster.controlplane import Credentials, Endpoint
from e2e.cluster.pki import Authority, Pair
from e2e.cluster.places import Places

PLACES = Places(cache=Path("/cache"), state=Path("/state"))
LOCAL = ipaddress.ip_network("198.18.0.0/15")
SYSTEM = ("/usr/lib/cni",)


def strings(value: Any) -> Iterator[str]:
    """Every string in a document."""
    if isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


@pytest.mark.parametrize(
    "document",
    [
        tomllib.loads(node.containerd(PLACES)),
        node.registry(PLACES),
        node.kubelet(PLACES),
        node.proxy(PLACES),
        network.cni(PLACES.state / "cni"),
    ],
    ids=["containerd", "registry", "kubelet", "proxy", "cni"],
)
def test_daemons_touch_only_our_places(document: dict[str, Any]) -> None:
    """Every path in a configuration is in the cache, in the state or of a Debian package."""
    paths = [text.removeprefix("unix://") for text in strings(document)]
    outside = [p for p in paths if p.startswith("/") and not p.startswith(("/cache/", "/state/"))]
    assert [path for path in outside if path not in SYSTEM] == []


def test_images_outlive_the_cluster() -> None:
    """What is dear to rebuild is in the cache; what is of one cluster is in its state."""
    config = tomllib.loads(node.containerd(PLACES))
    assert config["root"].startswith("/cache/")
    assert config["state"].startswith("/state/")
    assert node.registry(PLACES)["storage"]["filesystem"]["rootdirectory"].startswith("/cache/")


def test_no_two_parts_share_an_address() -> None:
    """Node, pods and services live apart, inside the one range meant for local use."""
    pods = ipaddress.ip_network(network.RANGE)
    services = ipaddress.ip_network(network.SERVICE_RANGE)
    assert pods.subnet_of(LOCAL)
    assert services.subnet_of(LOCAL)
    assert not pods.overlaps(services)
    pool = network.cni(Path("/leases"))["plugins"][0]["ipam"]["ranges"][0][0]
    first = ipaddress.ip_address(pool["rangeStart"])
    assert ipaddress.ip_address(network.NODE_IP) < first


@pytest.mark.parametrize("address", [network.API_SERVICE_IP, network.DNS_IP])
def test_well_known_services_are_in_the_service_range(address: str) -> None:
    """The apiserver would refuse them elsewhere."""
    assert ipaddress.ip_address(address) in ipaddress.ip_network(network.SERVICE_RANGE)


def test_pods_ask_the_dns_service() -> None:
    """The kubelet hands out the address that the DNS Service has."""
    objects = list(yaml.safe_load_all(addons.manifests()))
    service = next(o for o in objects if o["kind"] == "Service")
    assert node.kubelet(PLACES)["clusterDNS"] == [service["spec"]["clusterIP"]]


def test_one_class_is_the_default() -> None:
    """A claim that names no class gets `standard`, from the provisioner that we run."""
    objects = list(yaml.safe_load_all(addons.manifests()))
    (found,) = [o for o in objects if o["kind"] == "StorageClass"]
    assert found["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"
    source = (golang.MODULES / "addons" / "volumes" / "main.go").read_text()
    assert f'provisionerName = "{found["provisioner"]}"' in source


def test_etcd_is_out_of_every_pod_s_reach() -> None:
    """It listens on sockets in the file system only."""
    argv = controlplane.etcd(Path("etcd"), Path("/data"), Path("/run/etcd.sock")).argv
    listening = [a.partition("=")[2] for a in argv if a.startswith("--listen")]
    assert [url for url in listening if not url.startswith("unix://")] == []


def test_the_apiserver_checks_who_calls_and_what_for() -> None:
    """RBAC and the node authorizer are on, and nothing is allowed to all."""
    ca = Authority(Path("/pki"), "ca")
    pair = Pair(Path("/pki/x.crt"), Path("/pki/x.key"))
    keys = Credentials(ca, Authority(Path("/pki"), "front"), pair, pair, pair, pair)
    endpoint = Endpoint("127.0.0.1", 1, network.SERVICE_RANGE)
    argv = controlplane.apiserver(Path("kube-apiserver"), keys, endpoint, Path("/etcd.sock")).argv
    assert "--authorization-mode=Node,RBAC" in argv
    assert not [flag for flag in argv if "AlwaysAllow" in flag]


OF_OTHERS = [binary for binary in golang.ALL if binary not in (golang.PAUSE, golang.VOLUMES)]


@pytest.mark.parametrize("binary", OF_OTHERS, ids=lambda binary: binary.name)
def test_a_binary_is_of_the_version_it_is_named_for(binary: golang.Binary) -> None:
    """The version in the cache's file name is the one that go.mod pins."""
    text = (golang.MODULES / binary.module / "go.mod").read_text()
    pins = re.findall(r"^(?:require |\t)(\S+) (v\S+)", text, re.MULTILINE)
    sources = [module for module, _ in pins if binary.package.startswith(module)]
    sources = sources or [module for module, _ in pins if module.endswith(f"/{binary.name}")]
    assert dict(pins)[max(sources, key=len)] == binary.version
