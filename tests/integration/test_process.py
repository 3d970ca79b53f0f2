"""The laws of the operator as a process: its start, its end, and what is lost meanwhile."""

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from e2e.cluster.apiserver import ControlPlane
from integration import play
from integration.api import Api
from integration.conftest import Start, install_crds, text_model
from integration.process import eventually
from integration.verdict import converged, reaches
from modelops.api.crd import crd
from modelops.api.group import EVERY_KIND


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
    for kind in EVERY_KIND.values():
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
    eventually(api.answers, what="the API server is back")
    api.create(text_model(namespace, "second"))
    eventually(lambda: api.find("Deployment", namespace, "second"), what="the second is served")
    api.delete("Service", namespace, "chat")
    eventually(lambda: api.find("Service", namespace, "chat"), what="the Service is made again")
    assert operator.terminate() == 0


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


def test_a_stop_lets_a_pass_finish(api: Api, namespace: str, start: Start) -> None:
    """A pass that is under way when SIGTERM comes writes what it has to write."""
    operator = start().ready()
    with deployments_hang(api, namespace):
        api.create(text_model(namespace))
        eventually(lambda: api.find("Service", namespace, "chat"), what="the first write")
        operator._process.send_signal(signal.SIGTERM)  # noqa: SLF001
        eventually(lambda: api.find("Lease", namespace, "modelops-operator"))
    assert operator.wait(10) == 0


def test_only_the_chosen_namespaces_are_looked_at(api: Api, namespace: str, start: Start) -> None:
    """With namespaces given, objects elsewhere are left alone."""
    operator = start(NAMESPACES="elsewhere").ready()
    api.create(text_model(namespace))
    start(NAMESPACES=namespace, LEASE_NAME="other").ready()
    converged(api, namespace)
    assert operator.passes == 0
