"""A second kind and a second runtime are new files only: nothing in the product knows these."""

from typing import Any

import pytest

from modelops.api.crd import crd
from modelops.api.manifest import crd_yaml
from modelops.api.reference import reference_markdown
from modelops.sync.desired import INTENT, Apply, Desired, sync
from modelops.sync.observed import Observed, Ref
from modelops.sync.plan import Refusal, plan
from sync import kubelet
from sync.world import NOW, UID, running
from toy.catalogue import ECHO_MODEL, toy_catalogue


def echo(**spec: object) -> dict[str, Any]:
    """Return an EchoModel."""
    return {
        "apiVersion": "modelops.dev/v1alpha1",
        "kind": "EchoModel",
        "metadata": {"name": "canyon", "namespace": "default", "uid": UID, "generation": 1},
        "spec": {"model": {"uri": "pvc://models/rocks"}, **spec},
    }


def passed(resource: dict[str, Any], *children: dict, pods: tuple[dict, ...] = ()) -> Desired:
    """Return what a pass concludes with the toy catalogue."""
    by_ref = {Ref.of(child): child for child in children}
    return sync(Observed(ECHO_MODEL, resource, by_ref, pods), toy_catalogue(), NOW)


def applied(desired: Desired) -> dict[str, dict[str, Any]]:
    """Return what a pass applies, by kind."""
    writes = (w for w in desired.writes if isinstance(w, Apply) and w.manager == INTENT)
    return {str(w.manifest["kind"]): dict(w.manifest) for w in writes}


def test_a_new_kind_has_a_crd() -> None:
    """The CRD follows from the type: names, defaults, rules, the shared parts and its own."""
    manifest = crd(ECHO_MODEL)
    assert manifest["metadata"]["name"] == "echomodels.modelops.dev"
    spec = manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert spec["properties"]["echo"]["default"] == {"prefix": "echo"}
    assert spec["properties"]["echo"]["properties"]["prefix"]["default"] == "echo"
    assert "prefix" in spec["properties"]["echo"]["x-kubernetes-validations"][0]["message"]
    assert "scaling" in spec["properties"]
    assert "kind: EchoModel" in crd_yaml(ECHO_MODEL)
    assert "`prefix`" in reference_markdown(ECHO_MODEL)


def test_a_new_runtime_is_planned() -> None:
    """The kind's own runtime is chosen, with the kind's own fields on its command line."""
    found = plan(Observed(ECHO_MODEL, echo(echo={"prefix": "hey"})), toy_catalogue(), NOW)
    assert found.runtime.name == "echo"
    assert found.command.args == ("echo-server", "--prefix=hey", "--model=canyon")
    assert found.url == "http://canyon.default.svc.cluster.local/echo"


def test_a_new_kind_is_rendered() -> None:
    """Its children carry its name, and its pod the runtime's image, port, probe and weights."""
    children = applied(passed(echo(scaling={"minReplicas": 2})))
    assert set(children) == {"Service", "Deployment", "PodDisruptionBudget"}
    template = children["Deployment"]["spec"]["template"]
    assert template["metadata"]["labels"]["modelops.dev/kind"] == "EchoModel"
    (engine,) = template["spec"]["containers"]
    assert engine["image"] == "registry.example.com/echo:1"
    assert engine["ports"][0]["containerPort"] == 9000
    assert engine["startupProbe"]["httpGet"]["path"] == "/ready"
    assert {"name": "ECHO_WEIGHTS", "value": "/weights/model"} in engine["env"]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (running(), "Serving"),
        (running(ready=False), "StartingEngine"),
        (kubelet.crashed(1, "Error", "I have no voice"), "Voiceless"),
    ],
)
def test_a_new_kind_is_judged(status: dict | str, reason: str) -> None:
    """Its status follows from its pods, with the runtime's own hints."""
    deployment = applied(passed(echo()))["Deployment"]
    deployment["metadata"] = {**deployment["metadata"], "uid": "d", "generation": 1}
    deployment["status"] = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    told = kubelet.read(status) if isinstance(status, str) else status
    pod = {
        "metadata": {"name": "canyon-1", "namespace": "default", "labels": labels},
        "status": told,
    }
    assert passed(echo(), deployment, pods=(pod,)).reason == reason


def test_kinds_and_runtimes_do_not_mix() -> None:
    """A runtime is offered to the kinds that it serves, and to no other."""
    catalogue = toy_catalogue()
    assert [r.name for r in catalogue.serving(ECHO_MODEL)] == ["echo"]
    assert "echo" not in [r.name for r in catalogue.serving(catalogue.kinds["TextModel"])]
    with pytest.raises(Refusal) as refusal:
        plan(Observed(ECHO_MODEL, echo(runtime={"name": "vllm"})), catalogue, NOW)
    assert refusal.value.reason == "RuntimeUnknown"
    assert refusal.value.action.endswith("one of: echo")


def test_a_runtime_is_told_which_devices_it_has() -> None:
    """A runtime without an image for accelerators refuses a model that asks for one."""
    asked = echo(resources={"accelerator": {"count": 1}})
    assert passed(asked).reason == "DeviceUnsupported"
