"""Story: ten lines of YAML become an endpoint that answers, and nothing needless happens."""

import json

import pytest
import yaml

from e2e.chat import stream
from e2e.platform import ROOT
from e2e.space import Space

EXAMPLE = ROOT / "manifests" / "examples" / "text-tiny.yaml"


@pytest.fixture(scope="module")
def served(space: Space) -> Space:
    """The example of the README, Ready."""
    space.kube.run("apply", "-n", space.name, "-f", str(EXAMPLE))
    space.until_ready("tiny")
    return space


def test_the_example_is_ten_lines() -> None:
    """What the README shows has at most ten lines that are not comments."""
    lines = [line for line in EXAMPLE.read_text().splitlines() if line and line[0] != "#"]
    assert len(lines) <= 10
    assert yaml.safe_load(EXAMPLE.read_text())["kind"] == "TextModel"


def test_a_chat_is_streamed_through_the_service(served: Space) -> None:
    """The model's Service streams an answer in more than one piece."""
    with served.kube.forward("service/tiny", 80, served.name) as url:
        pieces = list(stream(url, "tiny", "What is Kubernetes?"))
    assert len(pieces) > 1
    assert "".join(pieces).strip()


def test_kubectl_get_shows_what_people_ask_first(served: Space) -> None:
    """The printer columns are Model, Runtime, Ready, Reason, URL and Age; tm is the short name."""
    header, row = served.kube.run("get", "tm", "tiny", "-n", served.name).splitlines()
    assert header.split() == ["NAME", "MODEL", "RUNTIME", "READY", "REASON", "URL", "AGE"]
    assert row.split()[1:6] == [
        "pvc://models/tiny-llama",
        "vllm",
        "True",
        "Serving",
        f"http://tiny.{served.name}.svc.cluster.local/v1",
    ]


def test_applying_again_changes_nothing(served: Space) -> None:
    """A second apply of the same file leaves every child at the same resource version."""
    before = _versions(served)
    served.kube.run("apply", "-n", served.name, "-f", str(EXAMPLE))
    served.kube.run("annotate", "tm", "tiny", "-n", served.name, "touched=yes", "--overwrite")
    served.until(
        lambda: served.condition("tiny").get("status") == "True", 30, lambda: "no longer Ready"
    )
    assert _versions(served) == before


def test_replicas_have_exactly_one_writer(served: Space) -> None:
    """Only modelops-scaler owns spec.replicas of the Deployment."""
    text = served.kube.run(
        "get", "deployment", "tiny", "-n", served.name, "-o", "json", "--show-managed-fields"
    )
    managed = json.loads(text)["metadata"]["managedFields"]
    owners = [m["manager"] for m in managed if "f:replicas" in m["fieldsV1"].get("f:spec", {})]
    assert owners == ["modelops-scaler"]


def test_pods_run_without_privileges(served: Space) -> None:
    """In a namespace that enforces `restricted` the engine runs as no root on a read-only root."""
    (pod,) = served.pods("tiny")
    name = pod["metadata"]["name"]
    who = served.kube.run("exec", name, "-n", served.name, "-c", "engine", "--", "id", "-u")
    assert who.strip() == "10001"
    contexts = [c["securityContext"] for c in pod["spec"]["containers"]]
    assert all(context["readOnlyRootFilesystem"] for context in contexts)


def test_the_status_tells_which_weights_are_served(served: Space) -> None:
    """The content address of the weights is in the status."""
    weights = served.status("tiny")["weights"]
    assert len(weights["digest"].removeprefix("sha256:")) == 64
    assert weights["percent"] == 100


def test_scaled_to_zero_is_idle_and_comes_back(served: Space) -> None:
    """`kubectl scale --replicas=0` makes the model Idle and Ready; 1 makes it serve again."""
    served.scale("tiny", minReplicas=0, idleAfterSeconds=86400)
    served.kube.run("scale", "tm", "tiny", "-n", served.name, "--replicas=0")
    idle = served.until_reason("tiny", "Idle", 120)
    assert idle["status"] == "True"
    assert served.pods("tiny") == []
    served.kube.run("scale", "tm", "tiny", "-n", served.name, "--replicas=1")
    served.until_reason("tiny", "Serving", 300)


def test_deleting_the_model_deletes_all_its_children(served: Space) -> None:
    """After `kubectl delete` no Deployment, Service, claim or pod of the model is left."""
    served.delete("tiny")
    selector = "modelops.dev/model=tiny"
    kinds = "deployments,services,persistentvolumeclaims,poddisruptionbudgets,replicasets,pods"
    served.until(
        lambda: not served.kube.all(kinds, served.name, selector),
        60,
        lambda: f"left: {served.kube.all(kinds, served.name, selector)}",
    )


def _versions(space: Space) -> dict[str, str]:
    kinds = "deployments,services,pods"
    found = space.kube.all(kinds, space.name, "modelops.dev/model=tiny")
    return {
        f"{f['kind']}/{f['metadata']['name']}": f["metadata"].get("resourceVersion", "")
        for f in found
    }
