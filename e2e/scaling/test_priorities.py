"""Story: one GPU and two models: a request for the one of higher priority gets it."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from e2e.gateway.caller import client, until_listed
from e2e.keys import new_key
from e2e.platform import GATEWAY, ROOT, SYSTEM_NAMESPACE
from e2e.space import Space

ON_CPU = [
    {"name": "VLLM_CPU_KVCACHE_SPACE", "value": "1"},
    {"name": "VLLM_ENABLE_V1_MULTIPROCESSING", "value": "0"},
]
"""The GPU is a number that the scheduler believes: engines run on the CPU."""


def fake_gpus(count: int) -> None:
    """Have the node of the local cluster offer so many GPUs."""
    subprocess.run([sys.executable, "-m", "e2e.cluster", "gpu", str(count)], cwd=ROOT, check=True)


def on_a_gpu(space: Space, name: str, **scaling: Any) -> None:
    """Apply a model that takes a GPU, rests when nobody asks and is not disturbed by the clock."""
    image = space.stage.images["vllm-cpu"]
    space.model(
        name,
        runtime={"image": image, "args": ["--enforce-eager"], "env": ON_CPU},
        resources={"memory": "2Gi", "accelerator": {"count": 1, "resourceName": "nvidia.com/gpu"}},
        scaling={"minReplicas": 0, "idleAfterSeconds": 3600, **scaling},
    )


@pytest.fixture(scope="module")
def served(space: Space) -> Iterator[Space]:
    """A cluster of one GPU, which a model that nobody uses any more has."""
    fake_gpus(1)
    try:
        on_a_gpu(space, "modest", replicas=1)
        on_a_gpu(space, "urgent", priority=10, preemption="IdleLowerPriority")
        space.until_reason("modest", "Serving", 300)
        yield space
        for name in ("modest", "urgent"):
            space.delete(name)
    finally:
        fake_gpus(0)


@pytest.fixture(scope="module")
def caller(served: Space) -> Iterator[openai.OpenAI]:
    """Who may use both models, and waits for them."""
    names = ["modest", "urgent"]
    with served.kube.forward(f"service/{GATEWAY}", 80, SYSTEM_NAMESPACE) as url:
        known = client(url, new_key(served.kube, "priorities", *names)).with_options(timeout=400)
        until_listed(served, known, *names)
        yield known


def answer(known: openai.OpenAI, model: str) -> str:
    """Return the name of the model that answers a request."""
    told = known.chat.completions.create(
        model=model, messages=[{"role": "user", "content": "Hello!"}], max_tokens=4
    )
    return told.model


def test_a_request_gets_the_gpu_of_an_idle_model(served: Space, caller: openai.OpenAI) -> None:
    """The request waits at the gateway until the other model has gone and this one has started."""
    assert answer(caller, "modest") == "modest"
    assert answer(caller, "urgent") == "urgent"
    served.until_reason("urgent", "Serving", 60)
    served.until_reason("modest", "Idle", 60)
    assert "TextModel" in served.condition("modest", "ScalingActive")["message"]
    last = served.status("modest")["lastScale"]
    assert (last["replicas"], last["metric"]) == (0, "preemption")
    assert f"TextModel {served.name}/urgent" in last["message"]


def test_who_is_lower_waits(served: Space, caller: openai.OpenAI) -> None:
    """The other way round nothing gives way: the request waits, and the model says for what."""
    with pytest.raises(openai.APITimeoutError):
        answer(caller.with_options(timeout=20), "modest")
    assert served.condition("modest")["reason"] == "Unschedulable"
    assert served.condition("urgent")["reason"] == "Serving"
    assert answer(caller, "urgent") == "urgent"
