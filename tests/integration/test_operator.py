"""The laws of the operator as a process, with real kopf on a real API server."""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from e2e.cluster.apiserver import ControlPlane
from integration import play
from integration.api import Api, Manifest, Refusal
from integration.conftest import Start, condition, install_crds, text_model
from integration.process import OperatorProcess, eventually
from modelops.api.crd import crd
from modelops.api.kinds import KINDS


def reason(api: Api, namespace: str, name: str = "chat") -> str:
    """Return why a TextModel is Ready or not."""
    found = api.find("TextModel", namespace, name)
    return str(condition(found, "Ready").get("reason", ""))


def reaches(api: Api, namespace: str, wanted: str, seconds: float = 60) -> Manifest:
    """Wait until a TextModel has that reason; return the TextModel."""
    eventually(
        lambda: reason(api, namespace) == wanted,
        seconds,
        f"chat is {wanted}; it is {api.find('TextModel', namespace, 'chat')}",
    )
    return api.get("TextModel", namespace, "chat")


def converged(api: Api, namespace: str) -> None:
    """Wait until a TextModel has all it needs and waits for a pod."""
    reaches(api, namespace, "Pending")
    assert api.get("Service", namespace, "chat")
    assert api.get("Deployment", namespace, "chat")["spec"]["replicas"] == 1


@contextmanager
def deployments_hang(api: Api, namespace: str) -> Iterator[None]:
    """Have every request that creates a Deployment in the namespace hang, by a dead webhook."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        name = f"hang-{port}"
        webhook = {
            "name": f"{name}.modelops.dev",
            "clientConfig": {"url": f"https://127.0.0.1:{port}/"},
            "rules": [
                {
                    "apiGroups": ["apps"],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["deployments"],
                }
            ],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "timeoutSeconds": 30,
        }
        configuration = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": name},
            "webhooks": [webhook],
        }
        api.create(configuration)
        try:
            eventually(lambda: hangs(api, namespace), what="the webhook is in force")
            yield
        finally:
            api.delete("ValidatingWebhookConfiguration", None, name)


def hangs(api: Api, namespace: str) -> bool:
    """Tell whether a dry run that creates a Deployment gets no answer."""
    labels = {"a": "b"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "a", "image": "a"}]},
    }
    probe = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "probe", "namespace": namespace},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    try:
        api.create(probe, params={"dryRun": "All"}, timeout=0.5)
    except httpx.TimeoutException:
        return True
    return False


def test_an_object_becomes_a_deployment_and_a_verdict(
    api: Api, namespace: str, start: Start
) -> None:
    """A TextModel gets its children and a status; when its pod serves, it is Ready."""
    operator = start().ready()
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
    reasons = [e["reason"] for e in api.all("Event", namespace)]
    assert set(reasons) >= {"Deploying", "Pending", "Serving"}
    assert any(line["message"].endswith("serving 1 of 1 replica") for line in operator.lines)
    assert "finalizers" not in model["metadata"]
    assert "annotations" not in model["metadata"]


def test_a_cause_in_a_pod_reaches_the_object(api: Api, namespace: str, start: Start) -> None:
    """An image that cannot be pulled is told within seconds, by a Warning too."""
    start().ready()
    api.create(text_model(namespace))
    converged(api, namespace)
    play.pod(api, namespace)
    play.unpullable(api, namespace)
    model = reaches(api, namespace, "ImagePullFailed", 30)
    assert "engine:test" in condition(model, "Ready")["message"]
    warnings = [e["reason"] for e in api.all("Event", namespace) if e["type"] == "Warning"]
    assert warnings == ["ImagePullFailed"]


def test_a_settled_object_is_left_alone(api: Api, namespace: str, start: Start) -> None:
    """Passes over what is as it should be change no object, and so wake nobody."""
    operator = start(RESYNC_SECONDS="1").ready()
    api.create(text_model(namespace))
    converged(api, namespace)
    play.pod(api, namespace)
    play.running(api, namespace)
    reaches(api, namespace, "Serving")
    settled = versions(api, namespace)
    passes = counted(operator)
    eventually(lambda: counted(operator) >= passes + 2, what="two more passes")
    assert versions(api, namespace) == settled
    assert counted(operator) < passes + 10


def versions(api: Api, namespace: str) -> dict[str, str]:
    """Return the resource versions of a TextModel and its children."""
    kinds = ("TextModel", "Deployment", "Service")
    found = {kind: api.get(kind, namespace, "chat") for kind in kinds}
    return {kind: one["metadata"]["resourceVersion"] for kind, one in found.items()}


def counted(operator: OperatorProcess) -> int:
    """Return how many passes an operator has done."""
    lines = operator.scrape().splitlines()
    return int(sum(float(x.split()[-1]) for x in lines if x.startswith("modelops_passes_total{")))


def test_killed_in_the_middle_of_a_pass_it_converges_when_restarted(
    api: Api, namespace: str, start: Start
) -> None:
    """SIGKILL between two writes leaves nothing that the next operator does not finish."""
    operator = start(IDENTITY="pod").ready()
    with deployments_hang(api, namespace):
        api.create(text_model(namespace))
        eventually(lambda: api.find("Service", namespace, "chat"), what="the first write")
        operator.kill()
    assert api.find("Deployment", namespace, "chat") is None
    assert api.get("TextModel", namespace, "chat")["status"] == {"observedGeneration": -1}
    start(IDENTITY="pod").ready()
    converged(api, namespace)


def test_a_stuck_pass_fails_the_liveness_probe(api: Api, namespace: str, start: Start) -> None:
    """The probe is well at first, and fails once a pass has run for too long."""
    operator = start(STUCK_SECONDS="1").ready()
    assert operator.probe().text == "ok"
    with deployments_hang(api, namespace):
        api.create(text_model(namespace))
        eventually(lambda: operator.probe().status_code == 503, what="the probe fails")
        assert "a pass has been running for" in operator.probe().text


def test_without_crds_it_waits_for_them(api: Api, namespace: str, start: Start) -> None:
    """An operator that starts before its CRDs goes to work by itself when they come."""
    for kind in KINDS.values():
        name = crd(kind)["metadata"]["name"]
        api.delete("CustomResourceDefinition", None, name)
        eventually(lambda name=name: api.find("CustomResourceDefinition", None, name) is None)
    operator = start().ready()
    eventually(lambda: operator.said("cannot be listed"), what="it says what is missing")
    install_crds(api)
    api.create(text_model(namespace))
    converged(api, namespace)


def test_an_api_server_that_comes_back_is_worked_with(
    api: Api, namespace: str, start: Start, control_plane: ControlPlane
) -> None:
    """After an outage the same process sees new objects and changes of children again."""
    operator = start(LEASE_SECONDS="120").ready()
    api.create(text_model(namespace))
    converged(api, namespace)
    control_plane.stop_apiserver()
    try:
        eventually(lambda: operator.said("does not answer"), what="it notices the outage")
    finally:
        control_plane.start_apiserver()
    eventually(lambda: answers(api), what="the API server is back")
    api.create(text_model(namespace, "second"))
    eventually(lambda: api.find("Deployment", namespace, "second"), what="the second is served")
    api.delete("Service", namespace, "chat")
    eventually(lambda: api.find("Service", namespace, "chat"), what="the Service is made again")
    assert operator.terminate() == 0


def answers(api: Api) -> bool:
    """Tell whether the API server answers."""
    try:
        return api.find("Namespace", None, "default") is not None
    except httpx.TransportError:
        return False


def test_an_operator_that_cannot_renew_its_lease_ends_and_can_be_restarted(
    api: Api, namespace: str, start: Start, control_plane: ControlPlane
) -> None:
    """An outage longer than the lease ends the process with 1; its successor takes over."""
    operator = start(IDENTITY="pod", LEASE_SECONDS="5").ready()
    control_plane.stop_apiserver()
    try:
        assert operator.wait(20) == 1
        successor = start(IDENTITY="pod", LEASE_SECONDS="15")
        eventually(lambda: successor.said("does not answer"), what="it waits for the API server")
    finally:
        control_plane.start_apiserver()
    eventually(lambda: answers(api), what="the API server is back")
    successor.ready()
    api.create(text_model(namespace))
    converged(api, namespace)


def test_replicas_have_one_writer(api: Api, namespace: str, start: Start) -> None:
    """`spec.replicas` of the Deployment belongs to `modelops-scaler` and to nobody else."""
    start().ready()
    api.create(text_model(namespace))
    converged(api, namespace)
    eventually(lambda: writers(api, namespace) == ["modelops-scaler"], what="one writer")


def writers(api: Api, namespace: str) -> list[str]:
    """Return the field managers of a Deployment's replicas."""
    managed = api.get("Deployment", namespace, "chat")["metadata"]["managedFields"]
    return [m["manager"] for m in managed if "f:replicas" in m["fieldsV1"].get("f:spec", {})]


def test_scaling_the_object_scales_its_deployment(api: Api, namespace: str, start: Start) -> None:
    """What `kubectl scale` writes reaches the Deployment; a budget comes with it and goes."""
    start().ready()
    api.create(text_model(namespace))
    converged(api, namespace)
    api.merge("TextModel", namespace, "chat", {"spec": {"replicas": 3}}, "scale")
    eventually(
        lambda: api.get("Deployment", namespace, "chat")["spec"]["replicas"] == 3, what="3 replicas"
    )
    eventually(lambda: api.find("PodDisruptionBudget", namespace, "chat"), what="the budget")
    api.merge("TextModel", namespace, "chat", {"spec": {"replicas": 0}}, "scale")
    reaches(api, namespace, "Idle")
    eventually(lambda: api.find("PodDisruptionBudget", namespace, "chat") is None, what="no budget")


def test_zero_replicas_make_no_pod(api: Api, namespace: str, start: Start) -> None:
    """The Deployment of a TextModel at zero is born with zero replicas."""
    start().ready()
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
    api: Api, namespace: str, start: Start, template: Manifest, says: str
) -> None:
    """A pod template that is refused becomes ApplyFailed, stays so, and heals when corrected."""
    operator = start().ready()
    api.create(text_model(namespace, podTemplate=template))
    model = reaches(api, namespace, "ApplyFailed")
    assert says in condition(model, "Ready")["message"]
    before = counted(operator)
    eventually(lambda: counted(operator) >= before + 2, what="it is tried again")
    assert api.get("TextModel", namespace, "chat")["status"] == model["status"]
    api.merge("TextModel", namespace, "chat", {"spec": {"podTemplate": None}})
    converged(api, namespace)


def test_a_child_that_goes_missing_is_made_again(api: Api, namespace: str, start: Start) -> None:
    """A child that someone deletes comes back at once, without waiting for a resync."""
    start().ready()
    api.create(text_model(namespace))
    converged(api, namespace)
    play.pod(api, namespace)
    play.running(api, namespace)
    reaches(api, namespace, "Serving")
    api.delete("Service", namespace, "chat")
    eventually(lambda: api.find("Service", namespace, "chat"), what="the Service is back")


def test_a_foreign_object_is_never_taken(api: Api, namespace: str, start: Start) -> None:
    """A Service of that name that is not ours stays as it is, until it is gone."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "chat", "namespace": namespace},
        "spec": {"ports": [{"port": 1234}]},
    }
    before = api.create(service)
    start(RESYNC_SECONDS="1").ready()
    api.create(text_model(namespace))
    model = reaches(api, namespace, "NameConflict")
    assert "Service chat exists" in condition(model, "Ready")["message"]
    assert api.get("Service", namespace, "chat") == before
    api.delete("Service", namespace, "chat")
    converged(api, namespace)


def test_a_stop_is_quick_and_gives_the_lease_up(api: Api, namespace: str, start: Start) -> None:
    """SIGTERM ends the operator with 0 within 10 seconds, and nobody holds the lease then."""
    operator = start().ready()
    api.create(text_model(namespace))
    converged(api, namespace)
    began = time.monotonic()
    assert operator.terminate() == 0
    assert time.monotonic() - began < 10
    lease = api.get("Lease", namespace, "modelops-operator")
    assert lease["spec"]["holderIdentity"] == ""


def test_a_stop_lets_a_pass_finish(api: Api, namespace: str, start: Start) -> None:
    """A pass that is under way when SIGTERM comes writes what it has to write."""
    operator = start().ready()
    with deployments_hang(api, namespace):
        api.create(text_model(namespace))
        eventually(lambda: api.find("Service", namespace, "chat"), what="the first write")
        operator._process.send_signal(signal.SIGTERM)  # noqa: SLF001
        eventually(lambda: api.find("Lease", namespace, "modelops-operator"))
    assert operator.wait(10) == 0


def test_of_two_operators_one_leads(api: Api, namespace: str, start: Start) -> None:
    """The second stands by, alive, does nothing, and takes over when the first stops."""
    first = start(IDENTITY="first").ready()
    second = start(IDENTITY="second")
    eventually(lambda: "modelops_leader 0.0" in probe(second), what="the second stands by")
    api.create(text_model(namespace))
    converged(api, namespace)
    assert not second.leads
    assert second.probe().text == "ok"
    assert counted(second) == 0
    assert first.terminate() == 0
    second.ready()
    api.create(text_model(namespace, "next"))
    eventually(lambda: api.find("Deployment", namespace, "next"), what="the second serves")


def probe(operator: OperatorProcess) -> str:
    """Return the metrics, empty while nobody listens."""
    try:
        return operator.scrape()
    except httpx.TransportError:
        return ""


def test_a_standby_stops_at_once(start: Start) -> None:
    """SIGTERM ends an operator that waits for the leadership, with 0."""
    start().ready()
    second = start()
    eventually(lambda: "modelops_leader 0.0" in probe(second), what="the second stands by")
    assert second.terminate() == 0


def test_only_the_chosen_namespaces_are_looked_at(api: Api, namespace: str, start: Start) -> None:
    """With namespaces given, objects elsewhere are left alone."""
    operator = start(NAMESPACES="elsewhere").ready()
    api.create(text_model(namespace))
    start(NAMESPACES=namespace, LEASE_NAME="other").ready()
    converged(api, namespace)
    assert counted(operator) == 0


def test_a_deleted_object_is_let_go(api: Api, namespace: str, start: Start) -> None:
    """A TextModel goes at once when deleted; children carry what the collector needs."""
    start().ready()
    model = api.create(text_model(namespace))
    converged(api, namespace)
    api.delete("TextModel", namespace, "chat")
    with pytest.raises(Refusal, match="not found"):
        api.get("TextModel", namespace, "chat")
    (owner,) = api.get("Deployment", namespace, "chat")["metadata"]["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == (model["metadata"]["uid"], True)
