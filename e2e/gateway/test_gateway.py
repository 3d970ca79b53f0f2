"""Story: one endpoint for every model, which knows who calls."""

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from prometheus_client.parser import text_string_to_metric_families

from e2e.gateway.caller import client, until_listed
from e2e.keys import modelops_key, new_key
from e2e.platform import GATEWAY, SYSTEM_NAMESPACE
from e2e.pods import is_ready
from e2e.space import Space

MESSAGES: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is Kubernetes?"}]
LONG = 1500
MANY = 64
"""So many answers of so many tokens take the tiny model longer than it takes to kill it."""

ON = {"ignore_eos": True}
"""Random weights may have nothing to say: go on to the last token."""


@pytest.fixture(scope="module")
def served(space: Space) -> Space:
    """Two models, Ready: one that keys may use here, and one that they may not."""
    space.model("gw-tiny")
    space.model("gw-secret", scaling={"minReplicas": 0, "maxReplicas": 0})
    space.until_ready("gw-tiny")
    return space


@pytest.fixture(scope="module")
def caller(served: Space, url: str) -> openai.OpenAI:
    """A client whose key may use gw-t*."""
    known = client(url, new_key(served.kube, "acme", "gw-t*"))
    until_listed(served, known, "gw-tiny")
    return known


def test_a_chat_with_the_official_client(caller: openai.OpenAI) -> None:
    """A chat by API key is answered, with its usage."""
    answer = caller.chat.completions.create(
        model="gw-tiny", messages=MESSAGES, max_tokens=8, extra_body=ON
    )
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 8


def test_a_stream_with_the_official_client(caller: openai.OpenAI) -> None:
    """A streamed chat arrives in more than one piece."""
    stream = caller.chat.completions.create(
        model="gw-tiny", messages=MESSAGES, max_tokens=32, stream=True, extra_body=ON
    )
    assert len([chunk for chunk in stream if chunk.choices]) > 2


def test_tokens_are_counted_though_nobody_asks(served: Space, url: str) -> None:
    """A tenant's tokens are what the engine says, also of a stream that does not show them."""
    known = client(url, new_key(served.kube, "metered", "gw-t*"))
    until_listed(served, known, "gw-tiny")
    create = known.chat.completions.create
    answer = create(model="gw-tiny", messages=MESSAGES, max_tokens=8, extra_body=ON)
    stream = create(model="gw-tiny", messages=MESSAGES, max_tokens=8, extra_body=ON, stream=True)
    chunks = [*stream]
    assert all(chunk.choices and chunk.usage is None for chunk in chunks)
    assert answer.usage is not None
    expected = {"input": 2.0 * answer.usage.prompt_tokens, "output": 16.0}
    served.until(
        lambda: tokens(served, "metered") == expected,
        30,
        lambda: f"{tokens(served, 'metered')} is not {expected}",
    )


def tokens(served: Space, tenant: str) -> dict[str, float]:
    """Return the tokens of a tenant that the gateway's pods have counted, by direction."""
    found: dict[str, float] = {}
    for pod in pods(served):
        with served.kube.forward(f"pod/{pod}", 9903, SYSTEM_NAMESPACE) as one:
            text = httpx.get(f"{one}/metrics").text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                told = sample.labels
                if sample.name == "modelops_gateway_tokens_total" and told["tenant"] == tenant:
                    direction = told["direction"]
                    found[direction] = found.get(direction, 0) + sample.value
    return found


def test_a_key_opens_no_model_that_it_does_not_name(caller: openai.OpenAI) -> None:
    """A model that exists and is not granted is as unknown as one that does not exist."""
    for name in ("gw-secret", "absent"):
        with pytest.raises(openai.NotFoundError) as refused:
            caller.chat.completions.create(model=name, messages=MESSAGES)
        assert refused.value.code == "model_not_found"


def test_a_model_that_is_off_is_unavailable(served: Space, url: str) -> None:
    """A model that is turned off is 503 for those who may use it, at once and with its reason."""
    known = client(url, new_key(served.kube, "acme", "gw-secret"))
    until_listed(served, known, "gw-secret")
    with pytest.raises(openai.InternalServerError) as refused:
        known.chat.completions.create(model="gw-secret", messages=MESSAGES)
    assert (refused.value.status_code, refused.value.code) == (503, "model_off")


def test_a_revoked_key_is_refused_within_two_seconds(served: Space, url: str) -> None:
    """Every gateway pod refuses a key two seconds after its revocation."""
    key = new_key(served.kube, "acme", "gw-t*")
    known = client(url, key)
    until_listed(served, known, "gw-tiny")
    modelops_key(served.kube, "revoke", identity(served, key))
    time.sleep(2)
    for pod in pods(served):
        with served.kube.forward(f"pod/{pod}", 8080, SYSTEM_NAMESPACE) as one:
            with pytest.raises(openai.AuthenticationError) as refused:
                client(one, key).models.list()
            assert refused.value.code == "invalid_api_key"


def pods(served: Space) -> list[str]:
    """Return the names of the gateway's pods that are Ready."""
    chosen = "app.kubernetes.io/name=modelops-gateway"
    found = [*ready(served.kube.all("pods", SYSTEM_NAMESPACE, chosen))]
    assert found
    return found


def ready(found: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the names of those of these pods that are Ready."""
    yield from (pod["metadata"]["name"] for pod in found if is_ready(pod))


def identity(served: Space, key: str) -> str:
    """Return the id of a key, which the list shows without the key."""
    payload = key.split(".")[1]
    found = str(json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["jti"])
    rows = modelops_key(served.kube, "list")
    assert found in rows
    assert key not in rows
    return found


def test_engines_administration_is_out_of_reach(caller: openai.OpenAI) -> None:
    """What an engine offers to those who run it is not found through the gateway."""
    for path in ("/load_lora_adapter", "/unload_lora_adapter", "/../sleep", "/../invocations"):
        with pytest.raises(openai.NotFoundError):
            caller.post(path, cast_to=object, body={"model": "gw-tiny"})


def test_a_stream_whose_engine_is_killed_says_so(served: Space, caller: openai.OpenAI) -> None:
    """The official client raises what the gateway says of it, and is answered again soon."""
    create = caller.chat.completions.create
    stream = create(
        model="gw-tiny", messages=MESSAGES, max_tokens=LONG, n=MANY, stream=True, extra_body=ON
    )
    chunks = iter(stream)
    next(chunks)
    (engine,) = (pod["metadata"]["name"] for pod in served.pods("gw-tiny"))
    served.kube.run("delete", "pod", engine, "-n", served.name, "--force", "--grace-period=0")
    with pytest.raises(openai.APIError) as broken:
        list(chunks)
    assert broken.value.code == "model_broken"
    served.until(
        lambda: any(name != engine for name in ready(served.pods("gw-tiny"))),
        300,
        lambda: f"no pod takes the place of {engine}: {served.condition('gw-tiny')}",
    )
    assert create(model="gw-tiny", messages=MESSAGES, max_tokens=1).choices


def test_a_gateway_pod_that_goes_cuts_no_stream(served: Space) -> None:
    """A stream through a pod that is deleted meanwhile goes on to its end.

    It comes last: what the others ask may pass through that very pod.
    """
    key = new_key(served.kube, "acme", "gw-t*")
    name = pods(served)[0]
    with served.kube.forward(f"pod/{name}", 8080, SYSTEM_NAMESPACE) as one:
        known = client(one, key)
        until_listed(served, known, "gw-tiny")
        stream = known.chat.completions.create(
            model="gw-tiny", messages=MESSAGES, max_tokens=400, stream=True,
            extra_body=ON,
        )  # fmt: skip
        chunks = iter(stream)
        next(chunks)
        served.kube.run("delete", "pod", name, "-n", SYSTEM_NAMESPACE, "--wait=false")
        *_, last = chunks
        assert last.choices[0].finish_reason == "length"
    served.kube.wait(f"pod/{name}", "delete", SYSTEM_NAMESPACE, 120)
    served.kube.run("rollout", "status", "-n", SYSTEM_NAMESPACE, f"deployment/{GATEWAY}")
