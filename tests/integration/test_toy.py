"""A second kind and a second runtime, from the tests alone, on a real API server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.cluster.apiserver import ControlPlane
from integration.api import Api, Manifest, Refusal
from integration.conftest import condition, established
from integration.process import OperatorProcess, eventually
from modelops.api.base import API_VERSION
from modelops.api.crd import crd
from toy.catalogue import ECHO_MODEL

MAIN = Path(__file__).parent / "toy_operator.py"
IMAGES = '{"modelops": "m:1", "vllm-cpu": "v:1", "echo": "echo:1"}'
PATH = f"/apis/{API_VERSION}/namespaces"


@pytest.fixture
def kind(api: Api) -> Iterator[str]:
    """Have the toy's CRD on the cluster; return the kind's plural."""
    manifest = crd(ECHO_MODEL)
    name = manifest["metadata"]["name"]
    api.create(manifest)
    eventually(lambda: established(api, name), what="the toy's CRD is established")
    yield ECHO_MODEL.plural
    api.delete("CustomResourceDefinition", None, name)


def echo(namespace: str, **spec: object) -> Manifest:
    """Return an EchoModel."""
    return {
        "apiVersion": API_VERSION,
        "kind": ECHO_MODEL.name,
        "metadata": {"name": "canyon", "namespace": namespace},
        "spec": {"model": {"uri": "pvc://models/rocks"}, **spec},
    }


def test_a_toy_kind_is_served(
    api: Api, namespace: str, kind: str, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """A kind that the product does not know gets schema, watch, children and status."""
    path = f"{PATH}/{namespace}/{kind}"
    with pytest.raises(Refusal, match="without a space"):
        api.raw("POST", path, echo(namespace, echo={"prefix": "a b"}))
    operator = OperatorProcess(
        control_plane.kubeconfig, namespace, tmp_path / "log", main=MAIN, IMAGES=IMAGES
    )
    try:
        operator.ready()
        api.raw("POST", path, echo(namespace))
        eventually(lambda: api.find("Deployment", namespace, "canyon"), what="the Deployment")
        found = eventually(lambda: reported(api, f"{path}/canyon"), what="a status")
    finally:
        operator.close()
    assert found["status"]["runtime"] == "echo"
    assert condition(found, "Ready")["reason"] in {"Deploying", "Pending"}


def reported(api: Api, path: str) -> Manifest | None:
    """Return an object once it has a verdict."""
    found: Manifest = api.raw("GET", path)
    return found if condition(found, "Ready") else None
