"""Story: the operator dies at a bad moment, and nothing is lost."""

from e2e.platform import SYSTEM_NAMESPACE
from e2e.space import Space


def test_an_operator_killed_in_mid_pass_converges_after_its_restart(space: Space) -> None:
    """Killed right after an apply, the operator finishes the work when it is back."""
    space.model("orphan", scaling={"minReplicas": 0})
    killed = space.kube.run(
        "delete", "pod", "-n", SYSTEM_NAMESPACE, "-l", "app.kubernetes.io/name=modelops-operator",
        "--force", "--grace-period=0",
    )  # fmt: skip
    assert "deleted" in killed
    space.model("second", scaling={"minReplicas": 0})
    for name in ("orphan", "second"):
        assert space.until_reason(name, "Idle", 90)["status"] == "True"
        assert space.kube.get("deployment", name, space.name) is not None
        assert space.kube.get("service", name, space.name) is not None


def test_a_model_made_at_zero_never_flashes_a_pod(space: Space) -> None:
    """No ReplicaSet of a model created with minReplicas 0 ever made a pod."""
    space.model("zero", scaling={"minReplicas": 0})
    space.until_reason("zero", "Idle", 60)
    made = [
        event
        for event in space.kube.all("events", space.name)
        if event["reason"] == "SuccessfulCreate" and event["involvedObject"]["name"][:5] == "zero-"
    ]
    assert made == []


def test_what_is_deleted_by_hand_comes_back(space: Space) -> None:
    """A Service that somebody deletes is made again."""
    space.model("mended", scaling={"minReplicas": 0})
    space.until_reason("mended", "Idle", 60)
    first = space.kube.get("service", "mended", space.name)
    space.kube.run("delete", "service", "mended", "-n", space.name)
    space.kube.run("annotate", "tm", "mended", "-n", space.name, "look=now")

    def back() -> bool:
        found = space.kube.get("service", "mended", space.name)
        return bool(first and found and found["metadata"]["uid"] != first["metadata"]["uid"])

    space.until(back, 60, lambda: "the Service is not back")


def test_an_object_of_the_same_name_is_left_alone(space: Space) -> None:
    """A Service that is somebody else's is never taken over; the model says how to go on."""
    theirs = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "taken"},
        "spec": {"ports": [{"port": 5432}], "selector": {"app": "database"}},
    }
    space.kube.apply(theirs, namespace=space.name)
    space.model("taken", scaling={"minReplicas": 0})
    told = space.until_reason("taken", "NameConflict", 60)
    assert "Service taken" in told["message"]
    service = space.kube.get("service", "taken", space.name)
    assert service is not None
    assert service["spec"]["selector"] == {"app": "database"}
