"""The laws of what the operator makes of objects, with real kopf on a real API server."""

from collections.abc import Iterator

import pytest

from e2e.cluster.apiserver import ControlPlane
from integration import play
from integration.api import Api, Manifest, Refusal
from integration.conftest import condition, text_model
from integration.process import OperatorProcess, eventually
from integration.verdict import converged, reaches

pytestmark = pytest.mark.usefixtures("operator")


@pytest.fixture(scope="module")
def operator(
    control_plane: ControlPlane, api: Api, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """Return the operator that all tests of this module share."""
    api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "system"}})
    log = tmp_path_factory.mktemp("operator") / "log"
    running = OperatorProcess(control_plane.kubeconfig, "system", log, RESYNC_SECONDS="1")
    try:
        yield running.ready()
    finally:
        running.close()


def reasons(api: Api, namespace: str) -> set[str]:
    """Return why the Events of a namespace were told: they come after the status that they tell."""
    return {event["reason"] for event in api.all("Event", namespace)}


def warnings(api: Api, namespace: str) -> list[str]:
    """Return the reasons of the Warnings of a namespace."""
    return [event["reason"] for event in api.all("Event", namespace) if event["type"] == "Warning"]


def test_an_object_becomes_a_deployment_and_a_verdict(
    api: Api, namespace: str, operator: OperatorProcess
) -> None:
    """A TextModel gets its children and a status; when its pod serves, it is Ready."""
    api.create(text_model(namespace))
    converged(api, namespace)
    play.pod(api, namespace)
    play.running(api, namespace)
    model = reaches(api, namespace, "Serving")
    assert condition(model, "Ready")["message"] == "serving 1 of 1 replica"
    assert condition(model, "WeightsReady")["status"] == "True"
    assert model["status"]["observedGeneration"] == model["metadata"]["generation"]
    assert model["status"]["weights"]["digest"] == "abc"
    assert model["status"]["url"] == f"http://chat.{namespace}.svc.cluster.local/v1"
    told = {"Deploying", "Pending", "Serving"}
    eventually(lambda: reasons(api, namespace) >= told, what="Events of all three")
    assert any(line["message"].endswith("serving 1 of 1 replica") for line in operator.lines)
    assert "finalizers" not in model["metadata"]
    assert "annotations" not in model["metadata"]


def test_a_cause_in_a_pod_reaches_the_object(api: Api, namespace: str) -> None:
    """An image that cannot be pulled is told within seconds, by a Warning too."""
    api.create(text_model(namespace))
    converged(api, namespace)
    play.pod(api, namespace)
    play.unpullable(api, namespace)
    model = reaches(api, namespace, "ImagePullFailed", 30)
    assert "engine:test" in condition(model, "Ready")["message"]
    eventually(lambda: warnings(api, namespace), what="a Warning")
    assert warnings(api, namespace) == ["ImagePullFailed"]


def test_a_settled_object_is_left_alone(
    api: Api, namespace: str, operator: OperatorProcess
) -> None:
    """Passes over what is as it should be change no object, and so wake nobody."""
    api.create(text_model(namespace))
    converged(api, namespace)
    play.pod(api, namespace)
    play.running(api, namespace)
    reaches(api, namespace, "Serving")
    settled = versions(api, namespace)
    passes = operator.passes
    eventually(lambda: operator.passes >= passes + 2, what="two more passes")
    assert versions(api, namespace) == settled
    assert operator.passes < passes + 10


def versions(api: Api, namespace: str) -> dict[str, str]:
    """Return the resource versions of a TextModel and its children."""
    kinds = ("TextModel", "Deployment", "Service")
    found = {kind: api.get(kind, namespace, "chat") for kind in kinds}
    return {kind: one["metadata"]["resourceVersion"] for kind, one in found.items()}


def test_replicas_have_one_writer(api: Api, namespace: str) -> None:
    """`spec.replicas` of the Deployment belongs to `modelops-scaler` and to nobody else."""
    api.create(text_model(namespace))
    converged(api, namespace)
    eventually(lambda: writers(api, namespace) == ["modelops-scaler"], what="one writer")


def writers(api: Api, namespace: str) -> list[str]:
    """Return the field managers of a Deployment's replicas."""
    managed = api.get("Deployment", namespace, "chat")["metadata"]["managedFields"]
    return [m["manager"] for m in managed if "f:replicas" in m["fieldsV1"].get("f:spec", {})]


def test_scaling_the_object_scales_its_deployment(api: Api, namespace: str) -> None:
    """What `kubectl scale` writes reaches the Deployment, within the bounds."""
    api.create(text_model(namespace, scaling={"minReplicas": 0, "maxReplicas": 3, "replicas": 1}))
    converged(api, namespace)
    api.merge("TextModel", namespace, "chat", {"spec": {"replicas": 5}}, "scale")
    eventually(
        lambda: api.get("Deployment", namespace, "chat")["spec"]["replicas"] == 3, what="3 replicas"
    )
    play.scaled(api, namespace, replicas=3)
    api.merge("TextModel", namespace, "chat", {"spec": {"replicas": 0}}, "scale")
    eventually(
        lambda: api.get("Deployment", namespace, "chat")["spec"]["replicas"] == 0, what="no replica"
    )
    play.scaled(api, namespace, replicas=0)
    reaches(api, namespace, "Idle")


def test_a_budget_comes_with_the_second_replica_and_goes(api: Api, namespace: str) -> None:
    """A model that may have several replicas has a disruption budget, whatever runs now."""
    api.create(text_model(namespace, scaling={"maxReplicas": 3}))
    eventually(lambda: api.find("PodDisruptionBudget", namespace, "chat"), what="the budget")
    converged(api, namespace)
    api.merge("TextModel", namespace, "chat", {"spec": {"scaling": {"maxReplicas": 0}}})
    reaches(api, namespace, "Idle")
    eventually(lambda: api.find("PodDisruptionBudget", namespace, "chat") is None, what="no budget")


def test_the_strategy_can_be_changed_and_changed_back(api: Api, namespace: str) -> None:
    """A Deployment goes from RollingUpdate to Recreate and back, and keeps nothing of the other."""
    api.create(text_model(namespace))
    converged(api, namespace)

    def strategy() -> Manifest:
        return api.get("Deployment", namespace, "chat")["spec"]["strategy"]

    rolling = strategy()
    assert rolling["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    for wanted, expected in (("Recreate", {"type": "Recreate"}), ("RollingUpdate", rolling)):
        change = {"spec": {"rollout": {"strategy": wanted}}}
        api.merge("TextModel", namespace, "chat", change)
        eventually(lambda expected=expected: strategy() == expected, what=wanted)


def test_zero_replicas_make_no_pod(api: Api, namespace: str) -> None:
    """The Deployment of a TextModel at zero is born with zero replicas."""
    api.create(text_model(namespace, scaling={"minReplicas": 0}))
    found = eventually(lambda: api.find("Deployment", namespace, "chat"), what="the Deployment")
    assert found["metadata"]["generation"] == 1
    reaches(api, namespace, "Idle")
    made = api.get("Deployment", namespace, "chat")
    assert (made["spec"]["replicas"], made["metadata"]["generation"]) == (0, 1)


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ({"spec": {"nodeSelecter": {"a": "b"}}}, "nodeSelecter"),
        ({"spec": {"restartPolicy": "Never"}}, "restartPolicy"),
        ({"spec": {"nodeSelector": "a"}}, "nodeSelector"),
    ],
)
def test_what_the_api_server_refuses_is_told_in_its_words(
    api: Api, namespace: str, operator: OperatorProcess, template: Manifest, says: str
) -> None:
    """A pod template that is refused becomes ApplyFailed, stays so, and heals when corrected."""
    api.create(text_model(namespace, podTemplate=template))
    model = reaches(api, namespace, "ApplyFailed")
    assert says in condition(model, "Ready")["message"]
    before = operator.passes
    eventually(lambda: operator.passes >= before + 2, what="it is tried again")
    assert api.get("TextModel", namespace, "chat")["status"] == model["status"]
    api.merge("TextModel", namespace, "chat", {"spec": {"podTemplate": None}})
    converged(api, namespace)


def test_a_foreign_object_is_never_taken(api: Api, namespace: str) -> None:
    """A Service of that name that is not ours stays as it is, until it is gone."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "chat", "namespace": namespace},
        "spec": {"ports": [{"port": 1234}]},
    }
    before = api.create(service)
    api.create(text_model(namespace))
    model = reaches(api, namespace, "NameConflict")
    assert "Service chat exists" in condition(model, "Ready")["message"]
    assert api.get("Service", namespace, "chat") == before
    api.delete("Service", namespace, "chat")
    converged(api, namespace)


def test_a_deleted_object_is_let_go(api: Api, namespace: str) -> None:
    """A TextModel goes at once when deleted; children carry what the collector needs."""
    model = api.create(text_model(namespace))
    converged(api, namespace)
    api.delete("TextModel", namespace, "chat")
    with pytest.raises(Refusal, match="not found"):
        api.get("TextModel", namespace, "chat")
    (owner,) = api.get("Deployment", namespace, "chat")["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (model["metadata"]["uid"], True)
