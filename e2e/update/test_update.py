"""Story: a new version takes over without a failed request, and a bad one changes nothing."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from e2e.restricted import files, pod
from e2e.space import Space

LOAD = Path(__file__).with_name("load.py")


@pytest.fixture(scope="module")
def served(space: Space) -> Space:
    """A model that serves."""
    space.model("llama")
    space.until_ready("llama")
    return space


def test_a_change_of_arguments_fails_no_request(served: Space) -> None:
    """While the engine's arguments change, every streamed request is answered to its end."""
    (old,) = served.pods("llama")
    with _load(served) as results:
        served.model("llama", runtime={"args": ["--max-num-seqs=16"]})
        served.until_ready("llama")
        _until_gone(served, old["metadata"]["name"])
    assert results["failed"] == []
    assert results["asked"] > 10


def test_the_old_version_serves_while_the_new_one_cannot_start(served: Space) -> None:
    """An image that cannot be pulled leaves the old version serving, and Ready says so."""
    (old,) = served.pods("llama")
    served.model(
        "llama",
        runtime={"image": served.stage.images["vllm-cpu"].split("@")[0] + ":no-such-tag"},
    )
    failed = served.until_reason("llama", "ImagePullFailed", 60)
    assert failed["status"] == "False"
    assert "the previous version goes on serving" in failed["message"]
    assert served.condition("llama", "Available")["status"] == "True"
    served.model("llama", runtime={"args": ["--max-num-seqs=16"]})
    served.until_ready("llama", 60)
    staying = [p for p in served.pods("llama") if "deletionTimestamp" not in p["metadata"]]
    assert [p["metadata"]["uid"] for p in staying] == [old["metadata"]["uid"]]


@contextmanager
def _load(space: Space) -> Iterator[dict[str, Any]]:
    """Ask the model without pause while the block runs; the results are there after it."""
    results: dict[str, Any] = {}
    space.kube.apply(_load_manifests(space), namespace=space.name)
    space.kube.wait("pod/load", "condition=Ready", space.name, 60)
    yield results
    space.kube.run("exec", "load", "-n", space.name, "--", "touch", "/tmp/stop")
    space.kube.wait("pod/load", "jsonpath={.status.phase}=Succeeded", space.name, 150)
    results.update(json.loads(space.kube.run("logs", "load", "-n", space.name)))


def _load_manifests(space: Space) -> list[dict[str, Any]]:
    command = ["python3", "/load/load.py", space.status("llama")["url"], "llama", "2"]
    mounts = {"/load": {"configMap": {"name": "load"}}}
    caller = pod("load", space.stage.images["modelops"], command, mounts=mounts)
    return [files("load", LOAD), caller]


def _until_gone(space: Space, pod: str) -> None:
    space.until(
        lambda: space.kube.get("pod", pod, space.name) is None,
        120,
        lambda: f"pod {pod} is still there",
    )
