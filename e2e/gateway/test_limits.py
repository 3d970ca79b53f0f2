"""Story: limits hold over both pods of the gateway, and the gateway does without Redis."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle

import httpx
import pytest

from e2e.chat import bearer
from e2e.keys import modelops_key, until_taken
from e2e.platform import SYSTEM_NAMESPACE
from e2e.space import Space

GATEWAY_PODS = "app.kubernetes.io/name=modelops-gateway"
REDIS_PODS = "app.kubernetes.io/name=modelops-redis"
MODEL = "limits-tiny"
BODY = {
    "model": MODEL,
    "messages": [{"role": "user", "content": "What is Kubernetes?"}],
    "max_tokens": 8,
    "ignore_eos": True,
}


@pytest.fixture(scope="module")
def served(space: Space) -> Space:
    """A model that is Ready."""
    space.model(MODEL)
    space.until_ready(MODEL)
    return space


@pytest.fixture(scope="module")
def urls(served: Space) -> Iterator[list[str]]:
    """Where each of the gateway's pods answers."""
    pods = served.kube.all("pods", SYSTEM_NAMESPACE, GATEWAY_PODS)
    names = [p["metadata"]["name"] for p in pods if "deletionTimestamp" not in p["metadata"]]
    assert len(names) == 2
    with ExitStack() as stack:
        forward = served.kube.forward
        yield [
            stack.enter_context(forward(f"pod/{name}", 8080, SYSTEM_NAMESPACE)) for name in names
        ]


def new_key(served: Space, urls: list[str], *options: str) -> str:
    """Return a new key with these limits, which both pods know."""
    key = modelops_key(
        served.kube, "create", "--tenant", "acme", "--models", MODEL, "--expires", "1d", *options
    )
    for url in urls:
        until_taken(url, key, MODEL)
    return key


def ask(url: str, key: str, **more: object) -> httpx.Response:
    """Chat through one pod."""
    target = f"{url}/v1/chat/completions"
    return httpx.post(target, json=BODY | more, headers=bearer(key), timeout=120)


def test_twenty_a_minute_are_twenty_over_both_pods(served: Space, urls: list[str]) -> None:
    """Of 40 quick requests by turns through both pods exactly 20 pass; the rest are told when."""
    key = new_key(served, urls, "--rpm", "20")
    turns = zip(range(40), cycle(urls), strict=False)
    answers = [ask(url, key, max_tokens=1) for _, url in turns]
    assert Counter(a.status_code for a in answers) == {200: 20, 429: 20}
    assert int(answers[-1].headers["retry-after"]) <= 60
    assert answers[0].headers["x-ratelimit-limit-requests"] == "20"
    assert answers[-1].json()["error"]["code"] == "rate_limit_exceeded"


def test_tokens_of_streams_are_limited(served: Space, urls: list[str]) -> None:
    """Streams through one pod use a key's tokens up, and the other pod refuses it, too."""
    key = new_key(served, urls, "--tpm", "60")
    first, second = urls
    assert ask(first, key, stream=True).status_code == 200
    served.until(
        lambda: ask(first, key, stream=True).status_code == 429, 30, lambda: "it still passes"
    )
    served.until(lambda: ask(second, key).status_code == 429, 5, lambda: "the other pod passes it")
    assert "60 tokens per minute" in ask(second, key).json()["error"]["message"]


def test_who_leaves_each_stream_comes_to_its_limit(served: Space, urls: list[str]) -> None:
    """A key whose caller reads one event of each stream is refused after some, by both pods."""
    key = new_key(served, urls, "--tpm", "200")
    first, second = urls

    def leave() -> int:
        target, body = f"{first}/v1/chat/completions", BODY | {"stream": True, "max_tokens": 400}
        with httpx.stream("POST", target, json=body, headers=bearer(key), timeout=120) as answer:
            next(answer.iter_lines(), None)
            return answer.status_code

    assert leave() == 200
    served.until(lambda: leave() == 429, 60, lambda: "it still passes")
    served.until(lambda: ask(second, key).status_code == 429, 5, lambda: "the other pod passes it")
    assert "200 tokens per minute" in ask(second, key).json()["error"]["message"]


def test_it_serves_without_redis(served: Space, urls: list[str]) -> None:
    """While Redis' pod is replaced, keys with a limit are served, and then counted together."""
    key = new_key(served, urls, "--rpm", "500")
    kube = served.kube
    kube.run("delete", "pod", "-n", SYSTEM_NAMESPACE, "-l", REDIS_PODS, "--wait=false")
    assert {ask(url, key, max_tokens=1).status_code for url in urls * 5} == {200}
    kube.run("rollout", "status", "-n", SYSTEM_NAMESPACE, "deployment/modelops-redis")
    served.until(lambda: together(served, urls), 60, lambda: "the pods do not count together again")


def together(served: Space, urls: list[str]) -> bool:
    """Tell whether a new key for one request a minute gets one through both pods, and not two."""
    key = new_key(served, urls, "--rpm", "1")
    answers = [ask(url, key, max_tokens=1).status_code for url in urls]
    return answers == [200, 429]
