"""Models at zero behind a real Envoy: what is held, what wakes them, what callers get."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from gateway.activated import PATH, Pod, play
from gateway.engine import Engine, engine
from gateway.proxy import free_ports
from modelops.cluster import Answer
from modelops.gateway.demand.local import Local
from modelops.gateway.main import leave

WOKEN = "x-modelops-status"


def task(pod: Pod, name: str, **body: Any) -> "asyncio.Task[httpx.Response]":
    """Send a chat without waiting for its answer."""
    return asyncio.create_task(pod.ask(name, **body))


def test_a_request_wakes_its_model_and_is_answered(tmp_path: Path, fake: Engine) -> None:
    """One ask of the API server for all that wait; each answer tells that it waited."""

    async def story(pod: Pod) -> None:
        await pod.have("sleepy")
        listed = await pod.client.get("/v1/models/sleepy")
        assert listed.json()["status"] == "idle"
        waiting = [task(pod, "sleepy", n=n) for n in range(20)]
        await pod.until_held("sleepy", 20)
        await pod.until(lambda: pod.asked("sleepy") == 1)
        await pod.replicas("sleepy", fake.port)
        answers = await pod.end(*waiting)
        assert sorted(a.json()["got"]["n"] for a in answers) == list(range(20))
        assert all(a.headers[WOKEN].startswith("woken; waited=") for a in answers)
        assert len([r for r in pod.server.requests if "/scale" in r]) == 1
        assert not pod.activator.held
        while (await pod.client.get("/v1/models/sleepy")).json()["status"] != "ready":
            await pod.server.tell()
            await asyncio.sleep(0.01)
        assert WOKEN not in (await pod.ask("sleepy")).headers

    play(tmp_path, story)


def test_only_zero_is_raised(tmp_path: Path, fake: Engine) -> None:
    """What somebody else has asked for meanwhile stays; a model that starts is only waited for."""

    async def story(pod: Pod) -> None:
        await pod.have("starting", replicas=3, maxReplicas=4)
        waiting = task(pod, "starting")
        await pod.until_held("starting", 1)
        await pod.replicas("starting", fake.port)
        assert (await pod.end(waiting))[0].status_code == 200
        await pod.have("raced", maxReplicas=4)

        def race(said: str, _: object) -> None:
            if "raced/scale" in said:
                pod.edit("raced", replicas=3)

        pod.server.refusal = race
        waiting = task(pod, "raced")
        await pod.until(lambda: pod.asked("raced") == 3)
        await pod.replicas("raced", fake.port)
        assert (await pod.end(waiting))[0].status_code == 200
        assert (pod.asked("starting"), pod.asked("raced")) == (3, 3)

    play(tmp_path, story)


def test_an_ask_that_was_never_made_is_made(tmp_path: Path, fake: Engine) -> None:
    """A model for which nobody has ever asked anything wakes like one at zero."""

    async def story(pod: Pod) -> None:
        await pod.have("new", replicas=None)
        pod.server.edit("textmodels", "team/new", lambda m: m["spec"]["scaling"].pop("replicas"))
        await pod.server.tell()
        waiting = task(pod, "new")
        await pod.until(lambda: pod.asked("new") == 1)
        await pod.replicas("new", fake.port)
        assert (await pod.end(waiting))[0].status_code == 200

    play(tmp_path, story)


def test_an_ask_that_is_taken_back_is_made_again(tmp_path: Path, fake: Engine) -> None:
    """Who sends a model to zero while somebody waits for it does not have the last word."""

    async def story(pod: Pod) -> None:
        await pod.have("sleepy")
        waiting = task(pod, "sleepy")
        await pod.until(lambda: pod.asked("sleepy") == 1)
        pod.edit("sleepy", replicas=0)
        await pod.until(lambda: pod.asked("sleepy") == 1)
        await pod.replicas("sleepy", fake.port)
        assert (await pod.end(waiting))[0].status_code == 200

    play(tmp_path, story)


def test_an_api_server_that_is_away_is_asked_until_it_answers(tmp_path: Path, fake: Engine) -> None:
    """Requests wait as long as they may while the model cannot be woken."""

    async def story(pod: Pod) -> None:
        await pod.have("sleepy")
        pod.server.refusal = lambda said, _: Answer(503, b"{}") if "/scale" in said else None
        waiting = task(pod, "sleepy")
        failed = pod.metrics.wakes.labels("failed")
        await pod.until(lambda: failed._value.get() >= 2)  # noqa: SLF001  the library has no other way
        assert not waiting.done()
        pod.server.refusal = lambda *_: None
        await pod.until(lambda: pod.asked("sleepy") == 1)
        await pod.replicas("sleepy", fake.port)
        assert (await pod.end(waiting))[0].status_code == 200

    play(tmp_path, story)


def test_a_stream_is_told_that_it_waits(tmp_path: Path, fake: Engine) -> None:
    """Comments come while the model starts, then the engine's events as they are."""

    async def story(pod: Pod) -> None:
        await pod.have("sleepy")
        body = {"model": "sleepy", "stream": True, "messages": []}
        lines = []
        async with pod.client.stream("POST", PATH, json=body) as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            assert answer.headers[WOKEN].startswith("waking; waited=")
            async for line in answer.aiter_lines():
                lines.append(line)
                if len([one for one in lines if one.startswith(": waiting")]) == 2:
                    await pod.replicas("sleepy", fake.port)
        events = [line for line in lines if line.startswith("data: ")]
        assert events == [*(f'data: {{"n": {n}}}' for n in range(5)), "data: [DONE]"]

    play(tmp_path, story, heartbeat_seconds=0.2)


def test_a_stream_that_was_told_to_wait_is_told_what_went_wrong(tmp_path: Path) -> None:
    """Once a stream has begun its errors are events, which the official client raises."""

    async def story(pod: Pod) -> None:
        await pod.have("sleepy")
        client = openai.AsyncOpenAI(
            base_url=f"{pod.front.url}/v1", api_key=pod.key, http_client=pod.client
        )

        async def read() -> list[Any]:
            made = await client.chat.completions.create(
                model="sleepy", messages=[], stream=True, extra_body={"answer": {"no": "stream"}}
            )
            return [chunk async for chunk in made]

        reading = asyncio.create_task(read())
        await pod.until_held("sleepy", 1)
        pod.edit("sleepy", maxReplicas=0)
        with pytest.raises(openai.APIError, match="turned off"):
            await pod.end(reading)

    play(tmp_path, story, heartbeat_seconds=0.1)


def test_who_cannot_be_woken_is_refused_at_once_with_the_reason(tmp_path: Path) -> None:
    """Off, paused at zero, stalled: 503 in OpenAI's shape that says which; also while one waits."""

    async def story(pod: Pod) -> None:
        await pod.have("off", maxReplicas=0)
        await pod.have("paused", state="Paused")
        await pod.have("stalled")
        waiting = task(pod, "stalled")
        await pod.until_held("stalled", 1)
        stall(pod, "stalled")
        refused = [
            *await pod.end(waiting),
            *[await pod.ask(name) for name in ("stalled", "off", "paused")],
        ]
        codes = [(r.status_code, r.json()["error"]["code"]) for r in refused]
        stalled = (503, "model_cannot_start")
        assert codes == [stalled, stalled, (503, "model_off"), (503, "model_paused")]
        assert "CrashLooping" in refused[0].json()["error"]["message"]
        assert "a secret of the cluster" not in refused[0].text
        assert int(refused[0].headers["retry-after"]) > 0
        states = {"off": "off", "paused": "idle", "stalled": "stalled"}
        while await listed(pod) != states:
            await pod.server.tell()
        assert not pod.activator.held

    play(tmp_path, story)


async def listed(pod: Pod) -> dict[str, str]:
    """Return what callers are told of each model."""
    data = (await pod.client.get("/v1/models")).json()["data"]
    return {one["id"]: one["status"] for one in data}


def stall(pod: Pod, name: str) -> None:
    """Have the operator say that a model cannot start."""

    def say(manifest: dict[str, Any]) -> None:
        now = manifest["metadata"]["generation"]
        told = {"type": "Stalled", "status": "True", "reason": "CrashLooping"}
        more = {"message": "a secret of the cluster", "observedGeneration": now}
        manifest["status"] = {"conditions": [told | more]}

    pod.server.edit("textmodels", f"team/{name}", say)


def test_no_more_is_held_than_there_is_room_for(tmp_path: Path, fake: Engine) -> None:
    """One too many, or too large, hears that at once; a place that becomes free is taken again."""

    async def story(pod: Pod) -> None:
        await pod.have("sleepy")
        waiting = [task(pod, "sleepy") for _ in range(3)]
        await pod.until_held("sleepy", 3)
        refused = await pod.ask("sleepy")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_starting")
        assert int(refused.headers["retry-after"]) > 0
        waiting.pop().cancel()
        await pod.until_held("sleepy", 2)
        large = await pod.ask("sleepy", messages=[{"role": "user", "content": "x" * 5000}])
        assert large.status_code == 503
        waiting.append(task(pod, "sleepy"))
        await pod.until_held("sleepy", 3)
        await pod.replicas("sleepy", fake.port)
        assert [a.status_code for a in await pod.end(*waiting)] == [200] * 3

    play(tmp_path, story, held_per_model=3, held_bytes=4000)


def test_nobody_waits_for_ever(tmp_path: Path) -> None:
    """When the time is over a request is refused; nothing of it stays."""

    async def story(pod: Pod) -> None:
        await pod.have("sleepy")
        refused = await pod.ask("sleepy")
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_starting")
        assert "1 s" in refused.json()["error"]["message"]
        assert not pod.activator.held

    play(tmp_path, story, held_seconds=1)


def test_a_pod_that_dies_right_after_it_was_ready_loses_nothing(tmp_path: Path) -> None:
    """As long as nothing of an answer came, the request goes to the next replica that is there."""

    async def story(pod: Pod) -> None:
        await pod.have("sleepy")
        (never,) = free_ports(1)
        with engine() as brief, engine() as lasting:
            waiting = [task(pod, "sleepy", held=True) for _ in range(5)]
            await pod.until_held("sleepy", 5)
            await pod.replicas("sleepy", never)
            await pod.replicas("sleepy", brief.port)
            await pod.until(lambda: len(brief.requests) == 5)
            await pod.replicas("sleepy")
            brief.kill()
            await pod.until_held("sleepy", 5)
            await pod.replicas("sleepy", lasting.port)
            await pod.until(lambda: len(lasting.requests) == 5)
            for _ in waiting:
                lasting.release()
            assert [a.json()["port"] for a in await pod.end(*waiting)] == [lasting.port] * 5

    play(tmp_path, story)


def test_an_answer_that_breaks_off_is_broken_off(tmp_path: Path, fake: Engine) -> None:
    """A stream whose engine dies in its middle is never ended as if it were whole."""

    async def story(pod: Pod) -> None:
        await pod.have("sleepy")
        waiting = task(pod, "sleepy", stream=True, dies=2)
        await pod.until_held("sleepy", 1)
        await pod.replicas("sleepy", fake.port)
        with pytest.raises(httpx.RemoteProtocolError):
            await pod.end(waiting)

    play(tmp_path, story)


def test_who_leaves_gives_the_place_back_and_stops_the_engine(tmp_path: Path, fake: Engine) -> None:
    """A caller that goes away is forgotten, wherever its request was."""

    async def story(pod: Pod) -> None:
        await pod.have("sleepy")
        waiting = task(pod, "sleepy")
        await pod.until_held("sleepy", 1)
        waiting.cancel()
        await pod.until_held("sleepy", 0)
        while not fake.cancelled.empty():
            fake.cancelled.get()
        running = task(pod, "sleepy", held=True)
        await pod.until_held("sleepy", 1)
        before = len(fake.requests)
        await pod.replicas("sleepy", fake.port)
        await pod.until(lambda: len(fake.requests) > before)
        running.cancel()
        await pod.until(lambda: not fake.cancelled.empty())
        await asyncio.wait_for(pod.activator.empty(0), 5)

    play(tmp_path, story)


def test_who_is_told_to_go_first_answers_what_waits(tmp_path: Path, fake: Engine) -> None:
    """A process that ends, as its pod does, stays until all that it holds is answered."""

    async def story(pod: Pod) -> None:
        await pod.have("sleepy")
        working = asyncio.create_task(asyncio.Event().wait())
        waiting = task(pod, "sleepy")
        await pod.until_held("sleepy", 1)
        leave(pod.activator, Local("", in_flight={}), 0, working)
        await pod.until(lambda: pod.asked("sleepy") == 1)
        assert not working.done()
        await pod.replicas("sleepy", fake.port)
        assert (await pod.end(waiting))[0].status_code == 200
        await pod.until(working.cancelled)

    play(tmp_path, story)


@pytest.mark.slow
def test_clients_are_answered_when_the_activator_starts_anew(tmp_path: Path, fake: Engine) -> None:
    """The official client comes again by itself, whether it waited or the activator was away."""

    async def story(pod: Pod) -> None:
        await pod.have("sleepy")
        client = openai.AsyncOpenAI(base_url=f"{pod.front.url}/v1", api_key=pod.key)

        async def chat() -> Any:
            answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
            choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}}
            made = await client.chat.completions.create(
                model="sleepy", messages=[], extra_body={"answer": {**answer, "choices": [choice]}}
            )
            return made.choices[0].message.content

        waiting = [asyncio.create_task(chat()) for _ in range(10)]
        await pod.until_held("sleepy", 10)
        await pod.stop()
        late = asyncio.create_task(chat())
        await asyncio.sleep(0.5)  # what a process takes to start
        await pod.start()
        await pod.until_held("sleepy", 11)
        await pod.replicas("sleepy", fake.port)
        assert await pod.end(late, *waiting) == ["hi"] * 11
        await client.close()

    play(tmp_path, story)


@pytest.mark.slow
def test_two_hundred_callers_are_all_answered(tmp_path: Path, fake: Engine) -> None:
    """None of two hundred who come at once is lost, with streams among them."""

    async def story(pod: Pod) -> None:
        await pod.have("sleepy")
        limits = httpx.Limits(max_connections=None)
        bearer = {"Authorization": f"Bearer {pod.key}"}
        async with httpx.AsyncClient(
            base_url=pod.front.url, headers=bearer, timeout=60, limits=limits
        ) as many:
            pod.client, before = many, pod.client
            waiting = [task(pod, "sleepy", n=n, stream=n % 2 == 0) for n in range(200)]
            await pod.until_held("sleepy", 200)
            await pod.replicas("sleepy", fake.port)
            answers = await pod.end(*waiting)
            pod.client = before
        assert [a.status_code for a in answers] == [200] * 200
        whole = [json.loads(a.text)["got"]["n"] for a in answers[1::2]]
        assert whole == list(range(1, 200, 2))
        assert all(a.text.endswith("data: [DONE]\n\n") for a in answers[::2])

    play(tmp_path, story)
