"""Limits over two gateway pods: real Envoys, each with the process that it asks, and one Redis."""

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import count, cycle
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from envoy.service.ratelimit.v3.rls_pb2 import RateLimitRequest, RateLimitResponse
from redis import Redis

from gateway import redisd
from gateway.conftest import model
from gateway.engine import Engine
from gateway.proxy import Gateway, free_ports, gateway, until
from gateway.test_access import chat
from modelops.gateway.keys import SigningKey
from modelops.gateway.limiter.service import SERVICE
from modelops.gateway.limiter.shared import ALIVE
from modelops.gateway.snapshot import Contended, Route, Target, Tenant
from plaintext import NO_TLS

TENANTS = (
    Tenant("small", requests_per_minute=7),
    Tenant("narrow", concurrent_requests=2),
    Tenant("large", requests_per_minute=1000),
    Tenant("terse", tokens_per_minute=40),
    Tenant("brief", tokens_per_minute=40),
)
KEY_TOKENS = {"words": 100, "letters": 100, "crumbs": 100}
DRIVER = Path(__file__).with_name("limiterd.py")


@dataclass
class Pod:
    """One gateway pod: an Envoy, and the process that answers it."""

    envoy: Gateway
    argv: Sequence[str]
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Have the process answer."""
        self.process = subprocess.Popen(self.argv)
        port = self.envoy.front.limiter_port
        until(lambda: _listens(port), 20)

    def stop(self) -> None:
        """Kill the process."""
        assert self.process
        self.process.kill()
        self.process.wait()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@dataclass
class Pair:
    """Two pods with one Redis, in front of one engine."""

    pods: tuple[Pod, Pod]
    redis: redisd.Server
    engine: Engine
    ids: Iterator[int]

    def key(self, tenant: str = "acme", **fields: Any) -> str:
        """Return a new API key, which both take."""
        signing = self.pods[0].envoy.signing
        record = self.pods[0].envoy.record("*")
        named = {"tenant": tenant, "id": f"k{next(self.ids)}"}
        return signing.sign(replace(record, **{**named, **fields}))

    def forget(self) -> None:
        """Have a new minute begin for everybody."""
        with Redis.from_url(self.redis.url) as client:
            for name in client.keys("modelops:*"):
                if name != ALIVE.encode():
                    client.delete(name)

    def ask(self, key: str, times: int) -> list[httpx.Response]:
        """Ask by turns through each pod."""
        turns = zip(range(times), cycle(self.pods), strict=False)
        return [chat(pod.envoy, key) for _, pod in turns]


@contextmanager
def pods(folder: Path, engine: Engine, opened: str) -> Iterator[Pair]:
    """Run two pods with Redis."""
    signing = SigningKey.generate()
    with ExitStack() as stack:
        (folder / "redis").mkdir()
        store = stack.enter_context(redisd.server(folder / "redis"))
        with Redis.from_url(store.url) as client:  # so that each knows of the other at once
            client.zadd(ALIVE, dict.fromkeys("ab", 2**52))
        envoys = [_envoy(stack, folder / name, opened, signing, engine) for name in "ab"]
        made = [_pod(stack, envoy, store.url, opened) for envoy in envoys]
        yield Pair((made[0], made[1]), store, engine, count())
        for pod in made:
            assert not any(pod.envoy.stats("update_(rejected|failure)").values())


def _envoy(
    stack: ExitStack, folder: Path, opened: str, signing: SigningKey, engine: Engine
) -> Gateway:
    folder.mkdir()
    fields = {"limiter_port": free_ports(1)[0], "open_on_failure": opened == "Open"}
    envoy = stack.enter_context(gateway(folder, **fields))
    envoy.signing = signing
    wide, narrow = model("llama-8b", engine.port), model("narrow", engine.port, capacity=6)
    mostly = (Target(narrow, 100_000), Target(wide, 1))
    routes = (
        Route("alias", "team", "alias", 1, (Target(narrow),)),
        Route("group", "team", "group", 1, mostly),
        Route("chain", "team", "chain", 1, (Target(narrow),), (wide,)),
    )
    keys = (signing.public,)
    envoy.serve(models=(wide, narrow), routes=routes, tenants=TENANTS, public_keys=keys)
    with envoy.client(envoy.key("*")) as client:
        until(lambda: len(client.get("/v1/models").json().get("data", [])) == 5, 5)
    return envoy


def _pod(stack: ExitStack, envoy: Gateway, url: str, opened: str) -> Pod:
    told = {
        "port": envoy.front.limiter_port,
        "redis": url,
        "pod": Path(envoy.front.folder).name,
        "open": opened == "Open",
        "tenants": [asdict(t) for t in TENANTS],
        "public_keys": [dict(envoy.signing.public)],
        "key_limits": sorted(envoy.snapshot.key_limits),
        "key_tokens": KEY_TOKENS,
        "models": [asdict(m) for m in envoy.snapshot.models],
        "routes": [asdict(r) for r in envoy.snapshot.routes],
        "admin": envoy.front.admin_port,
        "folder": envoy.front.folder,
    }
    pod = Pod(envoy, (sys.executable, str(DRIVER), json.dumps(told)))
    pod.start()
    stack.callback(pod.stop)
    return pod


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, fake: Engine) -> Iterator[Pair]:
    """Two pods that let requests pass while nobody counts."""
    with pods(tmp_path_factory.mktemp("pair"), fake, "Open") as running:
        yield running


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, fake: Engine) -> Iterator[Pair]:
    """Two pods that do not."""
    with pods(tmp_path_factory.mktemp("strict"), fake, "Closed") as running:
        yield running


def statuses(answers: Sequence[httpx.Response]) -> Counter[int]:
    """Return how often each status came."""
    return Counter(a.status_code for a in answers)


def test_a_small_limit_is_exact_over_both_pods(pair: Pair) -> None:
    """A key with 60 requests per minute gets 60 of 100 through, whichever pod it asks."""
    key = pair.key(rpm=60)
    answers = pair.ask(key, 100)
    assert [a.status_code for a in answers] == [200] * 60 + [429] * 40
    assert statuses(pair.ask(pair.key(rpm=60), 2)) == {200: 2}


def test_an_answer_tells_how_the_limit_stands(pair: Pair) -> None:
    """Headers are named as OpenAI's, count down, and a refusal says which limit and when."""
    first, second, third = pair.ask(pair.key(rpm=2), 3)
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert [a.headers["x-ratelimit-remaining-requests"] for a in (first, second)] == ["1", "0"]
    assert re.fullmatch(r"1m[01]s|[1-5]?\d+s", third.headers["x-ratelimit-reset-requests"])
    assert third.status_code == 429
    assert third.headers["content-type"] == "application/json"
    assert 1 <= int(third.headers["retry-after"]) <= 61
    error = third.json()["error"]
    assert error["code"] == "rate_limit_exceeded"
    assert error["type"] == "requests"
    assert error["message"].startswith("The API key's limit of 2 requests per minute is reached.")


def test_a_tenants_limit_is_that_of_all_its_keys(pair: Pair) -> None:
    """Keys without a limit of their own stand under the one of their tenant."""
    answers = [pair.ask(pair.key("small"), 1)[0] for _ in range(9)]
    assert statuses(answers) == {200: 7, 429: 2}
    assert "tenant's limit of 7 requests" in answers[-1].json()["error"]["message"]


def test_nobody_is_asked_about_requests_without_a_limit(pair: Pair) -> None:
    """What stands under no limit costs no question."""
    before = _asked(pair)
    for _ in range(5):
        with pair.pods[0].envoy.client(pair.key()) as client:
            body = {"model": "llama-8b", "messages": []}
            assert client.post("/v1/chat/completions", json=body).status_code == 200
    assert _asked(pair) == before


def _asked(pair: Pair) -> int:
    stats = [pod.envoy.stats(r"cluster\.limiter\.upstream_rq_total") for pod in pair.pods]
    return sum(sum(one.values()) for one in stats)


@pytest.mark.parametrize(("tenant", "rpm"), [("acme", 1000), ("large", None)])
def test_a_large_limit_is_asked_about_when_a_pods_share_is_used(
    pair: Pair, tenant: str, rpm: int | None
) -> None:
    """Each pod passes 5 % by itself; all together never exceed the limit by more than that."""
    key = pair.key(tenant, rpm=rpm)
    before = _asked(pair)
    assert statuses(pair.ask(key, 80)) == {200: 80}
    assert _asked(pair) == before
    with pair.pods[0].envoy.client(key) as one, pair.pods[1].envoy.client(key) as two:
        body = {"model": "llama-8b", "messages": []}
        answers = [
            c.post("/v1/chat/completions", json=body) for _ in range(510) for c in (one, two)
        ]
    passed = 80 + statuses(answers)[200]
    assert 950 <= passed <= 1100, passed
    assert answers[-1].status_code == 429
    assert _asked(pair) - before >= 900


def test_requests_at_a_time_are_counted_until_they_end(pair: Pair) -> None:
    """A key for two at a time gets a third one only when one has ended, on whichever pod."""
    key = pair.key(parallel=2)
    one, two = (pod.envoy.client(key) for pod in pair.pods)
    body = {"model": "llama-8b", "messages": [], "stream": True, "gated": True}
    with one, two:
        opened = [c.stream("POST", "/v1/chat/completions", json=body) for c in (one, two)]
        for stream in opened:
            assert stream.__enter__().status_code == 200
        refused = pair.ask(key, 2)
        assert statuses(refused) == {429: 2}
        assert "2 concurrent requests" in refused[0].json()["error"]["message"]
        opened[0].__exit__(None, None, None)
        until(lambda: chat(pair.pods[1].envoy, key).status_code == 200, 10)
        opened[1].__exit__(None, None, None)
        until(lambda: chat(pair.pods[0].envoy, key).status_code == 200, 10)


def test_a_place_that_nobody_gives_back_comes_back(pair: Pair) -> None:
    """When Envoy's word of an end is lost, another of the key's requests passes in time."""
    key, told = pair.key(id="absent", parallel=1), RateLimitRequest()
    entries = {"jti": "absent", "parallel": "1", "destination_cluster": "team.llama-8b"}
    told.descriptors.add(entries=[{"key": k, "value": v} for k, v in entries.items()])
    port = pair.pods[0].envoy.front.limiter_port
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        ask = channel.unary_unary(
            f"/{SERVICE}/ShouldRateLimit",
            request_serializer=RateLimitRequest.SerializeToString,
            response_deserializer=RateLimitResponse.FromString,
        )
        assert ask(told, timeout=5).overall_code == RateLimitResponse.OK
    other = {"model": "narrow", "messages": [], "stream": True, "gated": True}
    with (
        pair.pods[0].envoy.client(pair.key()) as client,
        client.stream("POST", "/v1/chat/completions", json=other) as busy,
    ):
        assert busy.status_code == 200
        assert statuses(pair.ask(key, 2)) == {429: 2}
        until(lambda: chat(pair.pods[1].envoy, key).status_code == 200, 40)


def test_without_redis_each_pod_counts_by_itself(pair: Pair) -> None:
    """While Redis is away each pod allows the limit once; when it is back, both do together."""
    pair.redis.stop()
    try:
        assert statuses(pair.ask(pair.key(rpm=5), 14)) == {200: 10, 429: 4}
    finally:
        pair.redis.start()
    until(lambda: statuses(pair.ask(pair.key(rpm=1), 2)) == {200: 1, 429: 1}, 10)


def test_without_redis_nothing_contended_passes_where_that_is_wanted(strict: Pair) -> None:
    """A closed gateway answers 503 to what it would have to ask about, and serves the rest."""
    key = strict.key(rpm=5)
    assert statuses(strict.ask(key, 2)) == {200: 2}
    strict.redis.stop()
    try:
        answers = strict.ask(key, 2)
        assert statuses(answers) == {503: 2}
        assert answers[0].json()["error"]["code"] == "limits_unavailable"
        assert answers[0].headers["retry-after"]
        assert statuses(strict.ask(strict.key(), 2)) == {200: 2}
    finally:
        strict.redis.start()
    until(lambda: chat(strict.pods[0].envoy, strict.key(rpm=5)).status_code == 200, 10)


@pytest.mark.parametrize(("which", "status"), [("pair", 200), ("strict", 503)])
def test_without_the_control_process(
    request: pytest.FixtureRequest, which: str, status: int
) -> None:
    """While nobody answers, contended requests pass or are refused, as is wanted; then it heals."""
    pods: Pair = request.getfixturevalue(which)
    first, key = pods.pods[0], pods.key(rpm=2)
    first.stop()
    try:
        assert {chat(first.envoy, key).status_code for _ in range(4)} == {status}
    finally:
        first.start()
    until(
        lambda: chat(first.envoy, pods.key(rpm=2)).headers.get("x-ratelimit-limit-requests") == "2",
        10,
    )


def test_a_stopped_process_holds_nobody_for_good(pair: Pair) -> None:
    """A process that takes questions and does not answer costs a request 15 seconds at most."""
    first = pair.pods[0]
    assert first.process
    first.process.send_signal(signal.SIGSTOP)
    try:
        assert chat(first.envoy, pair.key(rpm=2)).status_code == 200
    finally:
        first.process.send_signal(signal.SIGCONT)


USAGE = {"prompt_tokens": 6, "completion_tokens": 5, "total_tokens": 11}


WHOLE = {"answer": {"usage": USAGE}}
STREAM = {"stream": True, "told": ["data: {}"], "cuts": [], "end": "\n\n", "usage": USAGE}


@pytest.mark.parametrize(
    ("tenant", "fields", "said"),
    [
        ("acme", {"tpm": 100, "id": "words"}, WHOLE),
        ("acme", {"tpm": 100, "id": "letters"}, STREAM),
        ("terse", {}, WHOLE),
        ("brief", {}, STREAM),
    ],
    ids=["key", "key-streamed", "tenant", "tenant-streamed"],
)
def test_tokens_are_counted_for_all_pods(
    pair: Pair, tenant: str, fields: dict[str, Any], said: dict[str, Any]
) -> None:
    """When a key or a tenant has used its tokens through one pod, the other one refuses it, too."""
    key = pair.key(tenant, **fields)
    body = {"model": "llama-8b", "messages": []} | said

    def ask(pod: Pod) -> httpx.Response:
        with pod.envoy.client(key) as client:
            return client.post("/v1/chat/completions", json=body)

    first, second = pair.pods
    assert ask(first).status_code == 200
    until(lambda: ask(first).status_code == 429, 20)
    refused = until_answer(lambda: ask(second), 429)
    limit = fields.get("tpm", 40)
    assert f"limit of {limit} tokens per minute" in refused.json()["error"]["message"]
    assert refused.json()["error"]["type"] == "tokens"
    assert 1 <= int(refused.headers["retry-after"]) <= 61
    assert refused.headers["x-ratelimit-limit-tokens"] == str(limit)
    assert refused.headers["x-ratelimit-remaining-tokens"] == "0"
    assert chat(second.envoy, pair.key(tenant="other")).status_code == 200
    until(lambda: pair.forget() or ask(first).status_code == 200, 20)


def test_who_leaves_each_stream_uses_tokens_up(pair: Pair) -> None:
    """A key whose caller never reads a stream to its end comes to its limit nonetheless."""
    key = pair.key(tpm=100, id="crumbs")
    event = '{"choices":[{"delta":{"content":"x"}}]}'
    body = {"model": "llama-8b", "stream": True, "event": event, "gated": True}
    first, second = pair.pods

    def leave() -> int:
        pair.engine.hold()
        with (
            first.envoy.client(key) as client,
            client.stream("POST", "/v1/chat/completions", json=body) as answer,
        ):
            if answer.status_code == 200:
                pair.engine.release()
                assert next(answer.iter_raw())
            return answer.status_code

    assert leave() == 200
    until(lambda: leave() == 429, 20)
    refused = until_answer(lambda: chat(second.envoy, key), 429)
    assert "limit of 100 tokens per minute" in refused.json()["error"]["message"]


def until_answer(ask: Callable[[], httpx.Response], status: int) -> httpx.Response:
    """Ask until the answer has that status, and return it."""
    answers: list[httpx.Response] = []

    def asked() -> bool:
        answers.append(ask())
        return answers[-1].status_code == status

    until(asked, 20)
    return answers[-1]


NARROW = {"model": "narrow", "messages": [], "held": True}
"""A model that works on six at a time, so three through each pod."""


async def _send(client: httpx.AsyncClient, key: str, name: str) -> httpx.Response:
    bearer = {"Authorization": f"Bearer {key}"}
    body = NARROW | {"model": name}
    return await client.post("/v1/chat/completions", json=body, headers=bearer)


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110  Envoy tells only when asked
            await asyncio.sleep(0.02)


def _count(envoy: Gateway, name: str) -> int:
    return sum(envoy.stats(rf"^{re.escape(name)}$").values())


def _at_the_model(envoy: Gateway) -> int:
    return _count(envoy, "cluster.team.narrow.upstream_rq_active")


def _waiting(envoy: Gateway) -> int:
    return _count(envoy, "cluster.limiter.upstream_rq_active")


@dataclass
class Scene:
    """What a story plays with: the first pod's Envoy, and the requests that were sent to it."""

    pair: Pair
    client: httpx.AsyncClient
    sent: "list[asyncio.Task[httpx.Response]]" = field(default_factory=list)

    @property
    def envoy(self) -> Gateway:
        """The Envoy that they were sent to."""
        return self.pair.pods[0].envoy

    def send(self, name: str = "narrow") -> None:
        """Send one more, to a model or a route to it."""
        self.sent.append(asyncio.create_task(_send(self.client, self.pair.key(), name)))


Story = Callable[[Scene], Awaitable[None]]


def saturated(pair: Pair, story: Story) -> list[httpx.Response]:
    """Play a story while three requests run at the model and one waits; return all answers."""

    async def run() -> list[httpx.Response]:
        envoy = pair.pods[0].envoy
        pair.engine.hold()
        async with httpx.AsyncClient(base_url=envoy.url, timeout=60, verify=NO_TLS) as client:
            scene = Scene(pair, client)
            for _ in range(3):
                scene.send()
            await _until(lambda: _at_the_model(envoy) == 3)
            # Whatever comes before the gate is up passes, so it is asked until one has to wait.
            while not _waiting(envoy):
                scene.send()
                await asyncio.sleep(0.3)
            await story(scene)
            while not all(task.done() for task in scene.sent):
                pair.engine.release()
                await asyncio.sleep(0.02)
            return [task.result() for task in scene.sent]

    return asyncio.run(run())


def test_a_saturated_model_lets_no_more_in_than_it_can_take(pair: Pair) -> None:
    """The others wait for one to end; beyond a number they are 429, and all is well after."""

    async def story(scene: Scene) -> None:
        most = _at_the_model(scene.envoy)
        for _ in range(12):
            scene.send()
        await _until(lambda: any(task.done() for task in scene.sent))
        await _until(lambda: _waiting(scene.envoy) == 8)
        assert _at_the_model(scene.envoy) == most
        for _ in range(most):
            pair.engine.release()
        await _until(lambda: _waiting(scene.envoy) == 5)
        assert _at_the_model(scene.envoy) == 3

    answers = saturated(pair, story)
    refused = [a for a in answers if a.status_code == 429]
    assert statuses(answers).keys() == {200, 429}
    assert refused[0].json()["error"]["code"] == "model_busy"
    assert int(refused[0].headers["retry-after"]) >= 1
    until(lambda: not _at_the_model(pair.pods[0].envoy), 10)


def test_who_waits_is_let_in_when_the_control_process_dies(pair: Pair) -> None:
    """A request that is held does not hang: it passes, as is wanted when nobody counts."""

    async def story(scene: Scene) -> None:
        before = _at_the_model(scene.envoy)
        pair.pods[0].stop()
        try:
            await _until(lambda: _at_the_model(scene.envoy) > before)
        finally:
            pair.pods[0].start()

    assert statuses(saturated(pair, story)).keys() == {200}


def test_a_caller_that_goes_gives_its_turn_away(pair: Pair) -> None:
    """Who leaves while waiting takes no place of those behind."""

    async def story(scene: Scene) -> None:
        scene.send()
        await _until(lambda: _waiting(scene.envoy) == 2)
        gone = scene.sent.pop(-2)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        await _until(lambda: _waiting(scene.envoy) == 1)

    assert statuses(saturated(pair, story)).keys() == {200}


def test_no_other_name_leads_around_the_gate(pair: Pair) -> None:
    """Requests by an alias, a group or a chain wait for the saturated model as its own do."""

    async def story(scene: Scene) -> None:
        for number, name in enumerate(("alias", "group", "chain"), 2):
            scene.send(name)
            await _until(lambda number=number: _waiting(scene.envoy) == number)
        assert await asyncio.to_thread(lambda: chat(scene.envoy, pair.key()).status_code) == 200

    assert statuses(saturated(pair, story)).keys() == {200}


@pytest.mark.parametrize(
    ("contended", "default", "asked"),
    [
        (Contended(), 0, [False, False, False]),
        (Contended(keys=frozenset({"known"})), 0, [True, False, False]),
        (Contended(tenants=frozenset({"spender"})), 0, [False, True, False]),
        (Contended(frozenset({"known"}), frozenset({"spender"})), 0, [True, True, False]),
        (Contended(), 60, [True, True, True]),
    ],
    ids=["nobody", "key", "tenant", "both", "everybody"],
)
def test_the_contended_are_asked_about_and_no_others(
    front: Gateway, contended: Contended, default: int, asked: list[bool]
) -> None:
    """Keys and tenants that used their tokens up are, and all when the default limit is small."""
    record = front.record("*")
    callers = [replace(record, id="known"), replace(record, tenant="spender"), record]
    keys = [front.signing.sign(caller) for caller in callers]
    before = front.front
    front.front = replace(before, tenant_limit=default)
    try:
        front.serve(contended=contended)
        until(lambda: [_questioned(front, key) for key in keys] == asked, 10)
    finally:
        front.front = before
        front.serve(contended=Contended())


def _questioned(front: Gateway, key: str) -> bool:
    """Tell whether Envoy asks about a request of this key; nobody answers it here."""
    before = sum(front.stats(r"llama-8b\.ratelimit\.error$").values())
    assert chat(front, key).status_code == 200
    return sum(front.stats(r"llama-8b\.ratelimit\.error$").values()) > before
