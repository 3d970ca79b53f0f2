"""Story: a model at zero is asked by two hundred callers at once; each gets its answer."""

import asyncio
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from e2e.gateway.caller import client, until_listed
from e2e.keys import new_key
from e2e.platform import GATEWAY, SYSTEM_NAMESPACE
from e2e.space import Space

MODEL = "sleepy"
CALLERS = 200
LONGEST_SECONDS = 300
SMALL = [
    {"name": "VLLM_CPU_KVCACHE_SPACE", "value": "1"},
    {"name": "VLLM_ENABLE_V1_MULTIPROCESSING", "value": "0"},
]


@pytest.fixture(scope="module")
def asleep(space: Space) -> Iterator[Space]:
    """A model that rests as long as nobody asks it."""
    space.model(
        MODEL,
        scaling={"minReplicas": 0, "idleAfterSeconds": 3600},
        runtime={"args": ["--enforce-eager"], "env": SMALL},
    )
    space.until_reason(MODEL, "Idle", 60)
    yield space
    space.delete(MODEL)


@pytest.fixture(scope="module")
def known(asleep: Space) -> Iterator[openai.OpenAI]:
    """Who may use it, and is known to the gateway."""
    with asleep.kube.forward(f"service/{GATEWAY}", 80, SYSTEM_NAMESPACE) as url:
        found = client(url, new_key(asleep.kube, "wakers", MODEL))
        until_listed(asleep, found, MODEL)
        yield found


async def ask(many: openai.AsyncOpenAI, number: int) -> dict[str, Any]:
    """Return how one of the callers was answered: every second one asks for a stream."""
    said: Any = [{"role": "user", "content": f"Hello, I am {number}."}]
    if number % 2:
        raw = await many.chat.completions.with_raw_response.create(
            model=MODEL, messages=said, max_tokens=2
        )
        return {"status": raw.headers.get("x-modelops-status"), "end": bool(raw.parse().choices)}
    stream = await many.chat.completions.create(
        model=MODEL, messages=said, max_tokens=2, stream=True
    )
    status = stream.response.headers.get("x-modelops-status")
    chunks = [chunk async for chunk in stream]
    return {"status": status, "end": chunks[-1].choices[0].finish_reason is not None}


async def everybody(one: openai.OpenAI) -> list[dict[str, Any]]:
    """Ask as many callers as there are at once, who try nothing twice."""
    async with openai.AsyncOpenAI(
        base_url=one.base_url, api_key=one.api_key, max_retries=0, timeout=LONGEST_SECONDS
    ) as many:
        return await asyncio.gather(*(ask(many, number) for number in range(CALLERS)))


def test_all_who_wait_for_a_model_at_zero_are_answered(asleep: Space, known: openai.OpenAI) -> None:
    """None of them is lost, and each is told that the model was woken for it."""
    assert dict(known.models.retrieve(MODEL))["status"] == "idle"
    answers = asyncio.run(everybody(known))
    assert [one["end"] for one in answers] == [True] * CALLERS
    waited = [one["status"] for one in answers if one["status"]]
    assert len(waited) > CALLERS / 2
    assert all(status.startswith(("woken; waited=", "waking; waited=")) for status in waited)
    asleep.until_reason(MODEL, "Serving", 60)
    asleep.until(
        lambda: dict(known.models.retrieve(MODEL))["status"] == "ready",
        10,
        lambda: "it is not ready for callers",
    )


def test_once_awake_nobody_waits(known: openai.OpenAI) -> None:
    """A model with a replica answers by itself: nothing says that anybody waited."""
    raw = known.chat.completions.with_raw_response.create(
        model=MODEL, messages=[{"role": "user", "content": "Hello!"}], max_tokens=2
    )
    assert raw.headers.get("x-modelops-status") is None
    assert raw.parse().choices


def test_a_model_that_is_turned_off_says_so(asleep: Space, known: openai.OpenAI) -> None:
    """With maxReplicas 0 nobody waits: the answer is an error that says why."""
    asleep.scale(MODEL, maxReplicas=0)
    asleep.until_reason(MODEL, "Idle", 60)
    with pytest.raises(openai.InternalServerError, match="turned off"):
        known.with_options(timeout=30).chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "Hello!"}]
        )
