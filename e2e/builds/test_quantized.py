"""Story: a model is quantized on the cluster and served; a worse artifact leaves it serving."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from e2e.chat import stream
from e2e.keys import modelops
from e2e.pods import source
from e2e.space import Space

QUANTIZATION = {
    "method": "FP8",
    "gate": {"metric": "kl", "maxDrop": "0.5", "samples": 4},
    "resources": {"cpu": "100m", "memory": "4Gi"},
}


def quantize(space: Space, quantization: dict[str, Any] | None) -> None:
    """Change the model's quantization; None takes it away."""
    change = json.dumps({"spec": {"quantization": quantization}})
    space.kube.run("patch", "tm", "small", "-n", space.name, "--type=merge", f"--patch={change}")


def build(space: Space, name: str = "small-build") -> dict[str, Any]:
    """Return a ModelBuild."""
    found = space.kube.get("modelbuild", name, space.name)
    assert found is not None, f"there is no ModelBuild {name}"
    return found


def answers(space: Space) -> bool:
    """Tell whether the model answers a chat."""
    with space.kube.forward("service/small", 80, space.name) as url:
        return bool("".join(stream(url, "small", "What is Kubernetes?")).strip())


def image(space: Space) -> str:
    """Return the URI of the weights that the model's Deployment serves."""
    found = space.kube.get("deployment", "small", space.name)
    assert found is not None, "there is no Deployment"
    return source(found["spec"]["template"]["spec"])


@pytest.fixture(scope="module")
def quantized(space: Space) -> Space:
    """A model that serves the weights that a real builder made smaller."""
    space.model("small", quantization=QUANTIZATION)
    space.until_reason("small", "Building", 60)
    space.until_ready("small", 900)
    return space


def test_the_artifact_of_a_real_builder_is_served(quantized: Space) -> None:
    """vLLM answers from the artifact, whose sizes and quality the ModelBuild tells."""
    status = build(quantized)["status"]
    assert image(quantized) == status["artifact"]
    assert status["bytesAfter"] < status["bytesBefore"]
    assert 0 < float(status["quality"]["kl"]) < 0.5
    assert answers(quantized)


def test_the_report_is_read_from_the_claim(quantized: Space, tmp_path: Path) -> None:
    """The page that lies beside the artifact comes whole to whoever asks for it."""
    file = tmp_path / "report.html"
    words = ("build", "report", "small-build", f"--save={file}", "-n", quantized.name)
    assert str(file) in modelops(quantized.kube, *words)
    page = file.read_text(encoding="utf-8")
    assert page.endswith("</html>")
    assert build(quantized)["status"]["digest"] in page


def test_an_equal_build_is_ready_at_once(quantized: Space) -> None:
    """An object with the same recipe needs no Job of its own."""
    known = build(quantized)
    twin = {**known, "metadata": {"name": "twin"}}
    twin.pop("status")
    quantized.kube.apply(twin, namespace=quantized.name)
    quantized.until(
        lambda: "digest" in build(quantized, "twin").get("status", {}), 30, lambda: "no verdict"
    )
    assert build(quantized, "twin")["status"]["digest"] == known["status"]["digest"]
    assert len(quantized.kube.all("jobs", quantized.name, "modelops.dev/kind=ModelBuild")) == 1


def test_a_gate_that_fails_leaves_the_old_version_serving(quantized: Space) -> None:
    """Asked for no loss at all, the model says by how much that fails, and serves on."""
    before = image(quantized)
    quantize(quantized, {**QUANTIZATION, "gate": {"metric": "kl", "maxDrop": "0"}})
    told = quantized.until_reason("small", "GateFailed", 60)
    assert "is above 0" in told["message"]
    assert image(quantized) == before
    assert answers(quantized)


def test_going_back_is_taking_the_field_away(quantized: Space) -> None:
    """Without the field the weights are served as they were, and the ModelBuild goes."""
    quantize(quantized, None)
    quantized.until_ready("small", 300)
    assert image(quantized) == "pvc://models/tiny-llama"
    quantized.until(
        lambda: quantized.kube.get("modelbuild", "small-build", quantized.name) is None,
        60,
        lambda: "its ModelBuild is still there",
    )


def test_what_nothing_refers_to_goes(quantized: Space) -> None:
    """An artifact that an object names stays; when nothing does, `artifacts gc` takes it away."""
    quantized.until(lambda: _age(quantized) > 60, 90, lambda: "the artifact is too young")
    assert "0 artifacts" in artifacts(quantized, "gc", "--older-than=1m")
    assert "twin" in artifacts(quantized, "list")
    quantized.kube.run("delete", "modelbuild", "twin", "-n", quantized.name, "--wait")
    assert "would go" in artifacts(quantized, "gc", "--older-than=1m", "--dry-run")
    assert "removed" in artifacts(quantized, "gc", "--older-than=1m")
    assert "0 artifacts" in artifacts(quantized, "gc", "--older-than=1m")


def _age(space: Space) -> float:
    """Return how many seconds ago the twin came to know the artifact."""
    conditions = build(space, "twin")["status"]["conditions"]
    since = next(c["lastTransitionTime"] for c in conditions if c["type"] == "Built")
    return (datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds()


def artifacts(space: Space, *words: str) -> str:
    """Return what `modelops artifacts` prints about the namespace."""
    return modelops(space.kube, "artifacts", *words, "-n", space.name)
