"""Story: weights come from a hub and from S3, once, verified, with progress in the status.

The hub is a fake that speaks the hub's API, because the public one is outside; the S3 server is
versitygw, a real one. Both run as pods beside the models.
"""

import json
import secrets
from pathlib import Path
from typing import Any

import pytest

from e2e.chat import stream
from e2e.cluster import golang
from e2e.cluster.containerd import load
from e2e.cluster.image import ScratchImage
from e2e.cluster.places import Places
from e2e.platform import ROOT
from e2e.restricted import files, pod, service
from e2e.space import Space

HERE = Path(__file__).parent
TOKEN = secrets.token_hex(8)
KEYS = {"AWS_ACCESS_KEY_ID": "story", "AWS_SECRET_ACCESS_KEY": secrets.token_hex(16)}
RATE = 300_000
"""Bytes a second of the hub, slow enough that progress can be seen."""

MODELS = {"/models": {"persistentVolumeClaim": {"claimName": "models"}}}


@pytest.fixture(scope="module")
def hub(space: Space) -> str:
    """The URL of the fake hub."""
    parts = sorted((ROOT / "e2e" / "hub").glob("*.py"))
    items = [{"key": part.name, "path": f"e2e/hub/{part.name}"} for part in parts]
    manifest = pod(
        "fake-hub",
        space.stage.images["modelops"],
        ["python3", "/story/hub_pod.py", "--host=0.0.0.0", "--port=8000"],
        env={"PYTHONPATH": "/code"},
        mounts={
            **MODELS,
            "/code": {"configMap": {"name": "hub", "items": items}},
            "/story": {"configMap": {"name": "story"}},
        },
    )
    manifest["spec"]["containers"][0]["command"] += [f"--token={TOKEN}", f"--rate={RATE}"]
    manifest["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": 8000}}
    story = files("story", HERE / "hub_pod.py", HERE / "upload.py")
    space.kube.apply(
        [files("hub", *parts), story, manifest, service("fake-hub", 8000)], namespace=space.name
    )
    space.kube.wait("pod/fake-hub", "condition=Ready", space.name, 60)
    return f"http://fake-hub.{space.name}.svc"


@pytest.fixture(scope="module")
def store(space: Space, hub: str) -> str:
    """The URL of the S3 server, which holds the tiny model as s3://zoo/tiny."""
    assert hub
    image = "localhost/versitygw:story"
    places = Places.of_environment()
    binary = golang.stored(golang.VERSITYGW, places.store)
    load(places, ScratchImage(image, {"/versitygw": binary}, ("/versitygw",)))
    access = {
        "ROOT_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"],
        "ROOT_SECRET_KEY": KEYS["AWS_SECRET_ACCESS_KEY"],
    }
    server = pod(
        "versitygw",
        image,
        ["/versitygw", "--port", ":7070", "posix", "/data"],
        env=access,
        mounts={"/data": {"emptyDir": {}}},
    )
    server["spec"]["containers"][0] |= {
        "imagePullPolicy": "Never",
        "readinessProbe": {"tcpSocket": {"port": 7070}},
    }
    url = f"http://versitygw.{space.name}.svc"
    upload = pod(
        "upload",
        space.stage.images["modelops"],
        ["python3", "/story/upload.py"],
        env={**KEYS, "AWS_ENDPOINT_URL": url},
        mounts={**MODELS, "/story": {"configMap": {"name": "story"}}},
    )
    space.kube.apply([server, service("versitygw", 7070)], namespace=space.name)
    space.kube.wait("pod/versitygw", "condition=Ready", space.name, 60)
    space.kube.apply([upload, _secret("store-keys", KEYS)], namespace=space.name)
    space.kube.wait("pod/upload", "jsonpath={.status.phase}=Succeeded", space.name, 60)
    return url


def test_a_hub_model_shows_progress_and_downloads_once(space: Space, hub: str) -> None:
    """Two replicas that share a node fetch each file once; meanwhile the status tells how far."""
    seen: set[int] = set()

    def fetched() -> bool:
        weights = space.status("hub").get("weights", {})
        seen.add(weights.get("percent", -1))
        return space.condition("hub", "WeightsReady").get("status") == "True"

    space.model(
        "hub",
        model={"uri": "hf://acme/tiny", "endpoint": hub},
        cache={"size": "1Gi"},
        scaling={"minReplicas": 2},
    )
    space.until(fetched, 120, lambda: f"not fetched: {space.condition('hub')}")
    assert any(0 < percent < 100 for percent in seen), seen
    space.until_ready("hub", 400)
    served = [
        json.loads(line)
        for line in space.kube.run("logs", "fake-hub", "-n", space.name).splitlines()
        if line.startswith("{")
    ]
    sent = [s for s in served if s["path"].endswith("model.safetensors") and s["sent"]]
    assert len(sent) == 1
    _answers(space, "hub")
    assert len(space.status("hub")["weights"]["revision"]) == 40
    space.delete("hub")


def test_an_s3_model_is_served(space: Space, store: str) -> None:
    """Weights in an S3 store, with keys by Secret, answer a chat."""
    space.model(
        "s3",
        model={"uri": "s3://zoo/tiny", "endpoint": store, "secretRef": {"name": "store-keys"}},
        cache={"size": "1Gi"},
    )
    space.until_ready("s3", 300)
    _answers(space, "s3")
    space.delete("s3")


def test_a_gated_model_needs_a_token(space: Space, hub: str) -> None:
    """Without a token the reason is WeightsForbidden; with it the weights come."""
    gated: dict[str, Any] = {"uri": "hf://acme/gated", "endpoint": hub}
    space.model("gated", model=gated, cache={"medium": "EmptyDir"})
    told = space.until_reason("gated", "WeightsForbidden", 60)
    assert "HF_TOKEN" in told["message"]
    space.kube.apply(_secret("hub-token", {"HF_TOKEN": TOKEN}), namespace=space.name)
    space.model(
        "gated", model=gated | {"secretRef": {"name": "hub-token"}}, cache={"medium": "EmptyDir"}
    )
    space.until(
        lambda: space.condition("gated", "WeightsReady").get("status") == "True",
        120,
        lambda: f"the weights did not come: {space.condition('gated')}",
    )
    space.delete("gated")


def test_wrong_keys_are_told(space: Space, store: str) -> None:
    """An S3 server that refuses the keys gives WeightsForbidden, naming the Secret's field."""
    wrong = {**KEYS, "AWS_SECRET_ACCESS_KEY": "wrong"}
    space.kube.apply(_secret("wrong-keys", wrong), namespace=space.name)
    space.model(
        "wrong",
        model={"uri": "s3://zoo/tiny", "endpoint": store, "secretRef": {"name": "wrong-keys"}},
        cache={"medium": "EmptyDir"},
    )
    told = space.until_reason("wrong", "WeightsForbidden", 60)
    assert "secretRef" in told["message"]
    space.delete("wrong")


def _answers(space: Space, model: str) -> None:
    with space.kube.forward(f"service/{model}", 80, space.name) as url:
        assert "".join(stream(url, model, "Say something.")).strip()


def _secret(name: str, values: dict[str, str]) -> dict[str, Any]:
    meta = {"name": name}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": values}
