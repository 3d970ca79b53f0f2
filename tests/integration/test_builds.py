"""The laws of builds, with real kopf on a real API server; Jobs and pods are played."""

from collections.abc import Iterator
from typing import Any

import pytest

from e2e.cluster.apiserver import ControlPlane
from integration import play
from integration.api import Api, Manifest
from integration.conftest import Start, condition, text_model
from integration.process import OperatorProcess, eventually
from integration.verdict import reaches
from modelops.api.base import API_VERSION

GATE = {"metric": "kl", "maxDrop": "0.05"}
HUNDRED = 100


def model_build(namespace: str, name: str = "one", **spec: Any) -> Manifest:
    """Return a ModelBuild; without more spec it is the smallest there is."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ModelBuild",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"source": {"uri": "pvc://weights/tiny"}, "method": "GPTQ", **spec},
    }


def told(api: Api, namespace: str, name: str = "one") -> str:
    """Return why a ModelBuild is Ready or not."""
    found = api.find("ModelBuild", namespace, name)
    return str(condition(found, "Ready").get("reason", ""))


def becomes(api: Api, namespace: str, reason: str, name: str = "one") -> Manifest:
    """Wait until a ModelBuild has that reason; return it."""
    eventually(
        lambda: told(api, namespace, name) == reason,
        what=f"{name} is {reason}: {api.find('ModelBuild', namespace, name)}",
    )
    return api.get("ModelBuild", namespace, name)


def only_job(api: Api, namespace: str) -> Manifest:
    """Wait for the only Job of a namespace; return it."""
    eventually(lambda: api.all("Job", namespace), what="a Job")
    (job,) = api.all("Job", namespace)
    return job


@pytest.fixture
def operator(start: Start) -> OperatorProcess:
    """Return an operator that leads."""
    return start(RESYNC_SECONDS="1").ready()


@pytest.fixture(autouse=True)
def _no_builds(api: Api, namespace: str) -> Iterator[None]:
    """Leave no ModelBuild to operators of later tests."""
    yield
    for build in api.all("ModelBuild", namespace):
        api.delete("ModelBuild", namespace, build["metadata"]["name"])


@pytest.mark.usefixtures("operator")
def test_a_build_becomes_a_job_and_its_result(api: Api, namespace: str) -> None:
    """A ModelBuild gets its claim and its Job; what the pod says becomes its status."""
    api.create(model_build(namespace, gate=GATE))
    job = only_job(api, namespace)
    assert api.get("PersistentVolumeClaim", namespace, "modelops-artifacts")
    becomes(api, namespace, "Pending")
    play.build_pod(api, namespace, job)
    play.built(api, namespace, job)
    build = becomes(api, namespace, "Built")
    status = build["status"]
    assert (status["job"], status["bytesAfter"]) == (job["metadata"]["name"], 200)
    assert status["quality"] == {"kl": "0.01"}
    assert status["lineage"]["sourceRevision"] == "r1"
    assert condition(build, "GatePassed")["status"] == "True"


@pytest.mark.usefixtures("operator")
def test_a_cause_reaches_the_build(api: Api, namespace: str) -> None:
    """What the builder dies of is told; more memory has the Job made anew under its name."""
    api.create(model_build(namespace))
    job = only_job(api, namespace)
    play.build_pod(api, namespace, job)
    play.not_built(api, namespace, job, "OOMKilled")
    build = becomes(api, namespace, "OutOfMemory")
    assert condition(build, "Stalled")["status"] == "True"
    more = {"spec": {"resources": {"memory": "8Gi"}}}
    api.merge("ModelBuild", namespace, "one", more)
    eventually(lambda: _renewed(api, namespace, job), what="another Job of that name")
    (again,) = api.all("Job", namespace)
    limits = again["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert limits == {"memory": "8Gi"}


def _renewed(api: Api, namespace: str, job: Manifest) -> bool:
    found = api.find("Job", namespace, job["metadata"]["name"])
    return found is not None and found["metadata"]["uid"] != job["metadata"]["uid"]


@pytest.mark.usefixtures("operator")
def test_a_hundred_objects_with_one_recipe_start_one_job(api: Api, namespace: str) -> None:
    """One Job is made, all own it, and all are told what came of it."""
    names = [f"b{number}" for number in range(HUNDRED)]
    for name in names:
        api.create(model_build(namespace, name))
    job = only_job(api, namespace)
    eventually(lambda: _owners(api, namespace, job) == set(names), what="a hundred owners")
    play.build_pod(api, namespace, job)
    play.built(api, namespace, job)
    for name in names:
        becomes(api, namespace, "Built", name)
    assert only_job(api, namespace)["metadata"]["uid"] == job["metadata"]["uid"]


def _owners(api: Api, namespace: str, job: Manifest) -> set[str]:
    found = api.get("Job", namespace, job["metadata"]["name"])
    return {one["name"] for one in found["metadata"].get("ownerReferences", [])}


@pytest.mark.usefixtures("operator")
def test_a_second_identical_build_starts_no_job(api: Api, namespace: str) -> None:
    """With the Job and its pod gone, an equal object is Ready of what the first one knows."""
    api.create(model_build(namespace))
    job = only_job(api, namespace)
    play.build_pod(api, namespace, job)
    play.built(api, namespace, job)
    first = becomes(api, namespace, "Built")
    api.delete("Pod", namespace, f"{job['metadata']['name']}-x")
    path = api.path("Job", namespace, job["metadata"]["name"])
    api.raw("DELETE", path, {"propagationPolicy": "Background"})
    api.create(model_build(namespace, "two", gate={"metric": "kl", "maxDrop": "0"}))
    second = becomes(api, namespace, "GateFailed", "two")
    assert second["status"]["artifact"] == first["status"]["artifact"]
    assert "KL 0.01 is above 0" in condition(second, "Ready")["message"]
    assert not api.all("Job", namespace)


def test_killed_at_any_point_the_operator_makes_one_job(
    api: Api, namespace: str, start: Start
) -> None:
    """SIGKILL before, between and after the writes: the next one goes on, with one Job."""
    api.create(model_build(namespace))
    for sign in ("PersistentVolumeClaim", "Job", "status"):
        operator = start(LEASE_SECONDS="2", IDENTITY="same")
        eventually(lambda sign=sign: _seen(api, namespace, sign), what=sign)
        operator.kill()
    start(LEASE_SECONDS="2", IDENTITY="same").ready()
    job = only_job(api, namespace)
    becomes(api, namespace, "Pending")
    play.build_pod(api, namespace, job)
    play.built(api, namespace, job)
    becomes(api, namespace, "Built")
    assert len(api.all("Job", namespace)) == 1


def _seen(api: Api, namespace: str, sign: str) -> bool:
    if sign == "status":
        return bool(told(api, namespace))
    return bool(api.all(sign, namespace))


@pytest.mark.usefixtures("operator")
def test_a_model_is_served_quantized_once_its_gate_holds(api: Api, namespace: str) -> None:
    """First nothing serves; then the artifact; a worse one leaves it serving; and back again."""
    quantization = {"method": "GPTQ", "gate": GATE}
    api.create(text_model(namespace, quantization=quantization))
    reaches(api, namespace, "Building")
    job = only_job(api, namespace)
    assert not api.all("Deployment", namespace)
    play.build_pod(api, namespace, job)
    play.built(api, namespace, job)
    reaches(api, namespace, "Pending")
    address = becomes(api, namespace, "Built", "chat-build")["status"]["digest"]
    assert served(api, namespace) == f"pvc://modelops-artifacts/artifacts/{address}"
    play.pod(api, namespace)
    play.running(api, namespace)
    reaches(api, namespace, "Serving")
    worse = {"spec": {"quantization": {"method": "RTN"}}}
    api.merge("TextModel", namespace, "chat", worse)
    eventually(lambda: not _renamed(api, namespace, job), what="the other Job alone")
    other = only_job(api, namespace)
    play.build_pod(api, namespace, other)
    play.built(api, namespace, other, kl="0.41")
    model = reaches(api, namespace, "GateFailed")
    assert "KL 0.41 is above 0.05" in condition(model, "Ready")["message"]
    assert condition(model, "Available")["status"] == "True"
    assert served(api, namespace).endswith(address)
    api.merge("TextModel", namespace, "chat", {"spec": {"quantization": None}})
    eventually(lambda: served(api, namespace) == "pvc://weights/tiny", what="the base's weights")


def _renamed(api: Api, namespace: str, job: Manifest) -> bool:
    """Tell whether the Job of before is there, or no other."""
    names = {one["metadata"]["name"] for one in api.all("Job", namespace)}
    return not names or job["metadata"]["name"] in names


def served(api: Api, namespace: str) -> str:
    """Return the URI of the weights that the model's Deployment serves."""
    template = api.get("Deployment", namespace, "chat")["spec"]["template"]["spec"]
    args = template["initContainers"][0]["args"]
    return next(a.removeprefix("--uri=") for a in args if a.startswith("--uri="))


def test_the_schema_takes_what_a_user_writes(api: Api, control_plane: ControlPlane) -> None:
    """`kubectl explain` has words for each field, and defaults are filled in."""
    assert control_plane
    made = api.create(model_build("default", "defaults", gate={}))
    try:
        assert made["spec"]["gate"] == {"maxDrop": "0.05", "samples": 32}
        assert made["spec"]["options"] == {"ignore": ["lm_head"]}
        assert (made["spec"]["retries"], made["spec"]["deadlineSeconds"]) == (2, 21600)
    finally:
        api.delete("ModelBuild", "default", "defaults")
