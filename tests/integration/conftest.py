"""A real etcd and kube-apiserver. No controller and no kubelet runs: tests play them."""

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from e2e.cluster.apiserver import ControlPlane
from integration.api import Api, Manifest
from integration.process import OperatorProcess, eventually
from modelops.api.base import API_VERSION
from modelops.api.crd import crd
from modelops.api.group import EVERY_KIND

Start = Callable[..., OperatorProcess]


@pytest.fixture(scope="session")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file to which the API server writes every request that it receives."""
    return tmp_path_factory.mktemp("audit") / "audit.log"


@pytest.fixture(scope="session")
def control_plane(audit: Path) -> Iterator[ControlPlane]:
    """Return a running etcd and kube-apiserver."""
    with ControlPlane.create(audit=audit) as running:
        yield running


@pytest.fixture(scope="session")
def api(control_plane: ControlPlane) -> Iterator[Api]:
    """Return a client with all rights, on a cluster that has the CRDs."""
    with closing(Api(control_plane.kubeconfig)) as client:
        install_crds(client)
        yield client


def install_crds(api: Api) -> None:
    """Create the CRDs and wait until they are served."""
    for kind in EVERY_KIND.values():
        manifest = crd(kind)
        api.create(manifest)
        name = manifest["metadata"]["name"]
        eventually(lambda name=name: established(api, name), what=f"CRD {name} is established")
        eventually(lambda kind=kind: api.find(kind.name, None, "") is not None, what=kind.plural)


def established(api: Api, name: str) -> bool:
    """Tell whether the API server serves a CRD."""
    found = api.get("CustomResourceDefinition", None, name)
    return condition(found, "Established").get("status") == "True"


@pytest.fixture(scope="session")
def _numbers() -> Iterator[int]:
    return count(1)


@pytest.fixture
def namespace(api: Api, _numbers: Iterator[int]) -> Iterator[str]:
    """Return a fresh namespace; the models in it are deleted in the end."""
    name = f"test-{next(_numbers)}"
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    account = {"name": "default", "namespace": name}
    api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    yield name
    for model in api.all("TextModel", name):
        api.delete("TextModel", name, model["metadata"]["name"])


@pytest.fixture
def start(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts an operator with settings."""
    started: list[OperatorProcess] = []

    def begin(**settings: str) -> OperatorProcess:
        log = tmp_path / f"operator-{len(started)}.log"
        kubeconfig = control_plane.kubeconfig
        started.append(OperatorProcess(kubeconfig, namespace, log, **settings))
        return started[-1]

    yield begin
    for operator in started:
        operator.close()


def text_model(namespace: str, name: str = "chat", **spec: Any) -> Manifest:
    """Return a TextModel; without more spec it is the smallest there is."""
    return {
        "apiVersion": API_VERSION,
        "kind": "TextModel",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"model": {"uri": "pvc://weights/tiny"}, **spec},
    }


def condition(resource: Manifest | None, kind: str) -> Manifest:
    """Return a condition of an object, empty when it has none of that type."""
    conditions = (resource or {}).get("status", {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind), {})
