"""Story: what begins alike is answered by one replica, whichever gateway pod it came through."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from e2e.chat import bearer
from e2e.keys import new_key
from e2e.platform import SYSTEM_NAMESPACE
from e2e.space import Space

MODEL = "gw-sticky"
GATEWAYS = "app.kubernetes.io/name=modelops-gateway"
PROMPTS = 6


@dataclass(frozen=True)
class Way:
    """The gateway's pods and the model's replicas, by URL."""

    gateways: list[str]
    replicas: list[str]
    key: str

    def ask(self, gateway: str, prompt: str) -> int:
        """Send a chat through a gateway pod and return its status."""
        said = [{"role": "user", "content": prompt}]
        body = {"model": MODEL, "messages": said, "max_tokens": 1, "ignore_eos": True}
        url = f"{gateway}/v1/chat/completions"
        return httpx.post(url, json=body, headers=bearer(self.key), timeout=120).status_code

    def answered(self) -> list[float]:
        """Return how many requests each replica has answered."""
        return [_count(httpx.get(f"{url}/metrics", timeout=60).text) for url in self.replicas]


def _count(metrics: str) -> float:
    lines = metrics.splitlines()
    found = (line for line in lines if line.startswith("vllm:request_success_total{"))
    return sum(float(line.rpartition(" ")[2]) for line in found)


@pytest.fixture(scope="module")
def way(space: Space) -> Iterator[Way]:
    """Two replicas of a model that looks at prompts, behind every gateway pod."""
    space.model(MODEL, scaling={"minReplicas": 2}, routing={"policy": "PrefixAware"})
    space.until_ready(MODEL)
    gateways = space.kube.all("pods", SYSTEM_NAMESPACE, GATEWAYS)
    with ExitStack() as stack:

        def forwarded(pods: list[dict[str, Any]], port: int, namespace: str) -> list[str]:
            names = [pod["metadata"]["name"] for pod in pods]
            forwards = (space.kube.forward(f"pod/{name}", port, namespace) for name in names)
            return [stack.enter_context(forward) for forward in forwards]

        found = Way(
            forwarded(gateways, 8080, SYSTEM_NAMESPACE),
            forwarded(space.pods(MODEL), 8000, space.name),
            new_key(space.kube, "acme", MODEL),
        )
        space.until(
            lambda: {found.ask(url, "Hello") for url in found.gateways} == {200},
            60,
            lambda: "a gateway pod does not answer",
        )
        yield found
    space.delete(MODEL)


def test_a_prompt_keeps_to_one_replica(way: Way) -> None:
    """Equal beginnings reach one replica through every gateway pod; other ones may not."""
    assert (len(way.gateways), len(way.replicas)) == (2, 2)
    for number in range(PROMPTS):
        before = way.answered()
        codes = [way.ask(url, f"{number} tells a story") for url in way.gateways * 2]
        assert codes == [200] * 4
        shares = [now - was for now, was in zip(way.answered(), before, strict=True)]
        assert sorted(shares) == [0, 4]
