"""A real API server as an issuer: pods call models with the tokens of their service accounts."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import load_kube_config

from e2e.cluster.apiserver import ControlPlane
from gateway.conftest import model
from gateway.engine import engine
from gateway.proxy import Gateway, gateway, until
from gateway.test_access import chat
from integration.api import Api
from modelops.cluster import ApiServer
from modelops.gateway.metrics import Metrics
from modelops.gateway.oidc import Trust
from modelops.gateway.snapshot import Issuer

pytestmark = pytest.mark.integration
CLUSTER = Issuer(
    "cluster",
    "https://kubernetes.default.svc.cluster.local",
    ("models",),
    tenant_claim="kubernetes.io/namespace",
    in_cluster=True,
)


@pytest.fixture
def as_pod(
    api: Api,
    control_plane: ControlPlane,
    namespace: str,
    tmp_path: Path,
) -> None:
    """Talk to the API server as a service account to which nobody granted anything."""
    known = yaml.safe_load(control_plane.kubeconfig.read_text())
    user = {"name": "pod", "user": {"token": token(api, namespace)}}
    known["users"] = [user]
    known["contexts"][0]["context"]["user"] = "pod"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(known))


def token(api: Api, namespace: str, *audiences: str) -> str:
    """Return a token of a namespace's default account, as the kubelet gets one for a pod."""
    spec = {"audiences": list(audiences), "expirationSeconds": 600}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/default/token"
    return str(api.raw("POST", path, body)["status"]["token"])


async def told(issuer: Issuer, folder: Path) -> dict[str, Any]:
    """Return what the control process learns from the API server."""
    known = Configuration()
    await load_kube_config(str(folder / "kubeconfig"), client_configuration=known)
    server, metrics = ApiServer(known), Metrics.create()
    made = Trust(
        (issuer,), server, folder, lambda: None, metrics.issuer_keys, metrics.issuer_read
    )  # fmt: skip
    try:
        await made.refresh()
    finally:
        await server.close()
    return made.keys


@pytest.fixture
def door(tmp_path: Path, as_pod: None) -> Iterator[Gateway]:  # noqa: ARG001  its kubeconfig
    """An Envoy that takes the cluster's tokens, in front of an engine."""
    folder = tmp_path / "envoy"
    folder.mkdir()
    keys = asyncio.run(told(CLUSTER, tmp_path))
    with engine() as fake, gateway(folder, issuers=(CLUSTER,)) as started:
        started.serve(models=(model("llama-8b", fake.port),), issuer_keys=keys)
        until(lambda: chat(started, started.key("*")).status_code == 200, 5)
        yield started


def test_a_pods_token_is_taken(door: Gateway, api: Api, namespace: str) -> None:
    """A token for the gateway opens models; one for the API server, or a spoilt one, opens none."""
    good = token(api, namespace, "models")
    assert chat(door, good).status_code == 200
    assert chat(door, token(api, namespace)).status_code == 401
    assert chat(door, token(api, namespace, "vault")).status_code == 401
    assert chat(door, good[:-8] + "AAAAAAAA").status_code == 401


def test_a_wrong_name_for_the_cluster_is_no_trust(tmp_path: Path, as_pod: None) -> None:  # noqa: ARG001
    """Where the API server calls itself otherwise than the values do, nothing of it is taken."""
    wrong = Issuer("cluster", "https://elsewhere", ("models",), in_cluster=True)
    assert asyncio.run(told(wrong, tmp_path)) == {}
