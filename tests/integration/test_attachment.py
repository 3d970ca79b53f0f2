"""Models behind somebody else's Gateway, with the real CRDs on a real API server."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import yaml

from e2e.cluster import golang
from e2e.cluster.places import Places
from integration import play
from integration.api import Api, Manifest
from integration.conftest import Start, condition, established, text_model
from integration.process import OperatorProcess, eventually
from integration.verdict import reaches

SOURCES = {
    "sigs.k8s.io/gateway-api": "standard/gateway.networking.k8s.io_httproutes.yaml",
    "sigs.k8s.io/gateway-api-inference-extension": (
        "bases/inference.networking.k8s.io_inferencepools.yaml"
    ),
}
KINDS = ("InferencePool", "HTTPRoute")
PARENTS = [{"name": "shared", "namespace": "infra", "sectionName": "http"}]


@pytest.fixture(scope="module")
def crds() -> list[Manifest]:
    """The two CRDs, out of the modules that their projects publish."""
    store = Places.of_environment().store
    files = [
        golang.source("gatewayapi", path, store) / "config" / "crd" / file
        for path, file in SOURCES.items()
    ]
    return [yaml.safe_load(file.read_text()) for file in files]


@pytest.fixture
def install(api: Api, crds: list[Manifest]) -> Iterator[Callable[[], None]]:
    """Return what installs the CRDs; they are removed in the end."""
    with installing(api, crds) as now:
        yield now


@contextmanager
def installing(api: Api, crds: list[Manifest]) -> Iterator[Callable[[], None]]:
    """Give what installs CRDs, and remove them in the end."""

    def now() -> None:
        for crd in crds:
            api.create(crd)
        for crd in crds:
            eventually(lambda name=crd["metadata"]["name"]: established(api, name), what="a CRD")

    yield now
    remove(api, crds)


def remove(api: Api, crds: list[Manifest]) -> None:
    """Remove the CRDs that are there, and wait until they are gone."""
    for crd in crds:
        name = crd["metadata"]["name"]
        if api.find("CustomResourceDefinition", None, name):
            api.delete("CustomResourceDefinition", None, name)
        eventually(
            lambda name=name: api.find("CustomResourceDefinition", None, name) is None,
            what=f"{name} is gone",
        )


@pytest.fixture
def attaching(start: Start) -> Callable[..., OperatorProcess]:
    """Return what starts an operator that attaches models to these parents."""

    def begin(*parents: dict[str, Any], **settings: str) -> OperatorProcess:
        wanted = json.dumps({"parents": parents, "picker_port": 9002})
        return start(GATEWAY_API=wanted, **settings).ready()

    return begin


def attached(api: Api, namespace: str) -> dict[str, Manifest]:
    """Return what attaches the model, by kind."""
    found = {kind: api.find(kind, namespace, "chat") for kind in KINDS}
    return {kind: manifest for kind, manifest in found.items() if manifest}


def says(api: Api, namespace: str) -> str | None:
    """Return the reason of the model's condition Attached, if it has one."""
    return condition(api.find("TextModel", namespace, "chat"), "Attached").get("reason")


def serve(api: Api, namespace: str) -> None:
    """Have a model whose replica serves."""
    api.create(text_model(namespace))
    eventually(lambda: api.find("Deployment", namespace, "chat"), what="a Deployment")
    play.pod(api, namespace)
    play.running(api, namespace)
    reaches(api, namespace, "Serving")


def test_a_model_gets_a_pool_and_a_route(
    api: Api,
    namespace: str,
    install: Callable[[], None],
    attaching: Callable[..., OperatorProcess],
) -> None:
    """Both are valid, owned by the model, and taken away when nobody wants them."""
    install()
    first = attaching(*PARENTS)
    serve(api, namespace)
    eventually(lambda: len(attached(api, namespace)) == 2, what="a pool and a route")
    found = attached(api, namespace)
    assert found["HTTPRoute"]["spec"]["parentRefs"][0]["name"] == "shared"
    assert found["InferencePool"]["spec"]["endpointPickerRef"]["name"] == "chat-epp"
    owners = [m["metadata"]["ownerReferences"][0]["name"] for m in found.values()]
    assert owners == ["chat", "chat"]
    eventually(lambda: says(api, namespace) == "RoutePending", what="RoutePending")
    judge(api, namespace, "False")
    eventually(lambda: says(api, namespace) == "RouteRefused", what="RouteRefused")
    judge(api, namespace, "True")
    eventually(lambda: says(api, namespace) == "RouteAccepted", what="RouteAccepted")
    api.delete("InferencePool", namespace, "chat")
    eventually(lambda: len(attached(api, namespace)) == 2, what="the pool again")
    assert first.terminate() == 0
    attaching()
    eventually(lambda: not attached(api, namespace), what="nothing attached")
    eventually(lambda: says(api, namespace) is None, what="no word of it")


def judge(api: Api, namespace: str, status: str) -> None:
    """Have a gateway's controller take the route, or refuse it."""
    said = {"type": "Accepted", "status": status, "reason": "Judged", "message": "no listener",
            "lastTransitionTime": "2026-01-01T00:00:00Z"}  # fmt: skip
    parent = {"parentRef": PARENTS[0], "controllerName": "a.example/b", "conditions": [said]}
    api.merge("HTTPRoute", namespace, "chat", {"status": {"parents": [parent]}}, "status")


def test_kinds_may_come_and_go(
    api: Api,
    namespace: str,
    install: Callable[[], None],
    crds: list[Manifest],
    attaching: Callable[..., OperatorProcess],
) -> None:
    """Without the CRDs a model serves and says what it lacks; they are noticed within a minute."""
    operator = attaching(*PARENTS)
    serve(api, namespace)
    assert says(api, namespace) == "KindMissing"
    install()
    eventually(lambda: len(attached(api, namespace)) == 2, 60, "a pool and a route")
    remove(api, crds)
    eventually(lambda: says(api, namespace) == "KindMissing", 60, "the kinds are missed")
    assert condition(api.get("TextModel", namespace, "chat"), "Ready")["status"] == "True"
    install()
    eventually(lambda: len(attached(api, namespace)) == 2, 60, "both again")
    assert operator.terminate() == 0


def test_an_operator_for_some_namespaces_attaches_too(
    api: Api,
    namespace: str,
    install: Callable[[], None],
    crds: list[Manifest],
    attaching: Callable[..., OperatorProcess],
) -> None:
    """It sees no CRDs: it notices kinds that come, and goes on when they go."""
    operator = attaching(*PARENTS, NAMESPACES=namespace)
    serve(api, namespace)
    assert says(api, namespace) == "KindMissing"
    install()
    eventually(lambda: len(attached(api, namespace)) == 2, 60, "a pool and a route")
    remove(api, crds)
    api.merge("TextModel", namespace, "chat", {"spec": {"scaling": {"minReplicas": 2}}})
    eventually(lambda: says(api, namespace) == "KindMissing", 60, "the kinds are missed")
    eventually(
        lambda: api.get("Deployment", namespace, "chat")["spec"]["replicas"] == 2, what="2 replicas"
    )
    assert operator.terminate() == 0


def test_nothing_is_said_or_done_unless_asked_for(
    api: Api, namespace: str, install: Callable[[], None], start: Start
) -> None:
    """Where the chart does not ask for it, the kinds alone change nothing."""
    install()
    start().ready()
    serve(api, namespace)
    assert says(api, namespace) is None
    assert not attached(api, namespace)
