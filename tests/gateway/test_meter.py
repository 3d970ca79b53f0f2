"""What Envoy has counted and measured reaches the control process's metrics."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from math import inf
from threading import Thread

import httpx
import pytest
from httpx2 import AsyncClient
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from beside import beside
from gateway.conftest import model
from gateway.engine import Engine
from gateway.proxy import Gateway, until
from gateway.test_usage import CHAT, USAGE, stream
from modelops.gateway.counters import PIECE, Series
from modelops.gateway.genai import GenAi
from modelops.gateway.keys import KeyRecord
from modelops.gateway.meter import Growth, Meter
from modelops.gateway.metrics import Metrics
from modelops.gateway.usage import BUCKETS, DURATION, FIRST

CHATS = "/v1/chat/completions"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(registry: CollectorRegistry) -> Samples:
    """Return what Prometheus would read."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def asked(gateway: Gateway) -> Callable[[str], str]:
    """Return what asks Envoy."""
    admin = f"http://127.0.0.1:{gateway.front.admin_port}"
    return lambda path: httpx.get(admin + path, trust_env=False).text


def labels(operation: str, name: str, **more: str) -> frozenset[tuple[str, str]]:
    """Return the labels of a metric of OpenTelemetry's."""
    told = {"operation_name": operation, "provider_name": "modelops", "request_model": name}
    return frozenset([*((f"gen_ai_{k}", v) for k, v in told.items()), *more.items()])


def test_the_meter_tells_what_is_added_and_nothing_from_before(front: Gateway) -> None:
    """Listeners hear of requests once, and not of those from before the meter began."""
    heard: list[Growth] = []
    told = asyncio.Event()
    earlier, later = front.record("*"), front.record("*")

    def listen(added: Growth) -> None:
        heard.append(added)
        told.set()

    async def story() -> None:
        admin = f"http://127.0.0.1:{front.front.admin_port}"
        async with beside(Meter(admin, (listen,)).run()):
            async with asyncio.timeout(20):
                while not told.is_set():
                    await asyncio.to_thread(ask, front, later)

    ask(front, earlier)
    asyncio.run(story())
    assert {series.key for added in heard for series in added} == {later.id}
    total = {series.name: count for added in heard for series, count in added.items()}
    assert total["input_tokens"] == 7 * total["requests"]


@contextmanager
def envoy(answer: Callable[[], tuple[int, str]], missing: int = 0) -> Iterator[int]:
    """Run what answers as Envoy's admin port does, and give the port.

    So many bytes at the end of each answer do not come.
    """

    class Envoy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = answer()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode()[: len(text) - missing])

    with ThreadingHTTPServer(("127.0.0.1", 0), Envoy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def many(number: int, count: int) -> str:
    """Return so many counts that stand at the same number."""
    labels = (f'{{tenant="t",key="k{n}",model="m",path="/p"}}' for n in range(number))
    return "".join(f"envoy_modelops_requests{each} {count}\n" for each in labels)


def test_however_many_counts_others_get_their_turn() -> None:
    """Between two pieces of a reading the loop goes round, and no piece is large."""
    texts = iter([(200, many(120_000, 1)), (200, many(120_000, 2))])
    turns, heard = 0, []

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def story(port: int) -> None:
        meter = Meter("", (lambda added: heard.append((turns, len(added))),))
        client = AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        async with beside(others()), client:
            before = await meter.catch_up(client, {})
            heard.clear()
            await meter.catch_up(client, before)

    with envoy(lambda: next(texts)) as port:
        asyncio.run(story(port))
    assert sum(number for _, number in heard) == 120_000
    assert max(number for _, number in heard) <= PIECE // len(many(1, 1)) + 1
    assert all(later > sooner for (sooner, _), (later, _) in pairwise(heard))


def test_what_an_answer_that_breaks_off_told_is_told_once() -> None:
    """The next whole answer tells the rest, and nothing twice."""
    heard: Counter[str] = Counter()

    def listen(added: Growth) -> None:
        heard.update({series.key: count for series, count in added.items()})

    async def story(*ports: int) -> None:
        meter, before = Meter("", (listen,)), {}
        for port in ports:
            async with AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                before = await meter.catch_up(client, before)

    def answer() -> tuple[int, str]:
        return 200, many(5000, 3)

    with envoy(answer, missing=100_000) as broken, envoy(answer) as whole:
        asyncio.run(story(broken))
        assert 0 < len(heard) < 5000
        heard.clear()
        asyncio.run(story(broken, broken, whole, broken, whole))
    assert heard == dict.fromkeys((f"k{n}" for n in range(5000)), 3)


def test_a_slow_envoy_is_not_taken_for_a_new_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What it had counted before it first answers is not told as new, and the log says so."""
    monkeypatch.setattr("modelops.gateway.meter.SECONDS", 0.001)
    line = 'envoy_modelops_requests{tenant="t",key="k",model="m",path="p"}'
    answers = iter([(503, ""), (200, f"{line} 100\n")])
    heard: list[Growth] = []

    async def story(port: int) -> None:
        told = asyncio.Event()

        def listen(added: Growth) -> None:
            heard.append(added)
            told.set()

        async with beside(Meter(f"http://127.0.0.1:{port}", (listen,)).run()):
            async with asyncio.timeout(20):
                await told.wait()

    with envoy(lambda: next(answers, (200, f"{line} 105\n"))) as port:
        asyncio.run(story(port))
    assert heard == [{Series("requests", "t", "k", "m", "p"): 5}]
    assert "counts cannot be read" in caplog.text


def ask(gateway: Gateway, record: KeyRecord) -> None:
    """Send a request whose answer tells its usage."""
    with gateway.client(gateway.signing.sign(record)) as client:
        client.post(CHATS, json=CHAT | {"answer": {"usage": USAGE}})


def test_an_envoy_that_is_away_is_waited_for() -> None:
    """The meter goes on without an Envoy, and ends only when it is told to."""

    async def story() -> None:
        async with beside(Meter("http://127.0.0.1:1", ()).run()):
            await asyncio.sleep(0.1)

    asyncio.run(story())


def test_tenants_are_told_of_and_keys_are_not() -> None:
    """The counts of a tenant's keys and paths are one; what is not known is no metric."""
    metrics = Metrics.create()
    metrics.count_usage(
        {
            Series("requests", "acme", "k1", "m", "/a"): 2,
            Series("requests", "acme", "k2", "m", "/b"): 3,
            Series("output_tokens", "acme", "k1", "m", "/a"): 5,
            Series("estimated_requests", "acme", "k1", "m", "/a"): 1,
            Series("estimated_input_tokens", "acme", "k1", "m", "/a"): 9,
            Series("uncounted_bytes_sent", "acme", "k1", "m", "/a"): 7,
            Series("of_a_later_version", "acme", "k1", "m", "/a"): 7,
        }
    )
    found = {name: value for (name, _), value in samples(metrics.registry).items() if value}
    told = {"tenant": "acme", "model": "m", "outcome": "counted"}
    now, guessed = samples(metrics.registry), {"outcome": "estimated"}
    assert now["modelops_gateway_requests_total", frozenset(told.items())] == 5
    assert now["modelops_gateway_requests_total", frozenset((told | guessed).items())] == 1
    assert found["modelops_gateway_tokens_total"] == 5
    assert found["modelops_gateway_estimated_tokens_total"] == 9
    assert found["modelops_gateway_uncounted_bytes_total"] == 7


def test_times_have_opentelemetrys_names_and_units(front: Gateway, fake: Engine) -> None:
    """A stream has a duration, a time to its first token and one per token, in seconds."""
    name = "timed"
    front.serve(models=(model(name, fake.port), model("timed-idle")))
    registry = CollectorRegistry()
    registry.register(GenAi(asked(front)))
    with front.client(front.key("*")) as client:
        until(lambda: client.get(f"/v1/models/{name}").status_code == 200, 5)
        for _ in range(3):
            client.post(CHATS, json=stream(["data: {}"]) | {"model": name})
        client.post("/v1/responses", json={"model": name, "answer": {"usage": USAGE}})
        client.post(CHATS, json={"model": "timed-idle"})
    count = ("gen_ai_server_request_duration_seconds_count", labels("chat", name))
    until(lambda: samples(registry).get(count) == 4, 60)
    now = samples(registry)
    for metric in ("time_to_first_token", "time_per_output_token"):
        assert now[f"gen_ai_server_{metric}_seconds_count", labels("chat", name)] == 3
    assert 0 < now["gen_ai_server_time_to_first_token_seconds_sum", labels("chat", name)] < 5
    bounds = {
        float(dict(told)["le"]) for (of, told) in now if of.endswith("duration_seconds_bucket")
    }
    assert bounds == {ms / 1000 for ms in BUCKETS[DURATION]} | {inf}
    bounds = {float(dict(told)["le"]) for (of, told) in now if "first_token_seconds_bucket" in of}
    assert bounds == {us / 10**6 for us in BUCKETS[FIRST]} | {inf}
    failed = labels("chat", "timed-idle", error_type="503")
    assert now["gen_ai_server_request_duration_seconds_count", failed] == 1


def test_tokens_have_opentelemetrys_names() -> None:
    """The tokens of a model are one histogram for input and one for output, without bounds."""
    registry, made = CollectorRegistry(), GenAi(lambda _: None)
    registry.register(made)
    made.add(
        {
            Series("requests", "a", "k", "m", CHATS): 2,
            Series("input_tokens", "a", "k", "m", CHATS): 9,
        }
    )
    made.add({Series("requests", "b", "k", "m", "/v1/responses"): 1})
    told = labels("chat", "m", gen_ai_token_type="input")  # noqa: S106  no password
    now = samples(registry)
    assert now["gen_ai_client_token_usage_sum", told] == 9
    assert now["gen_ai_client_token_usage_count", told] == 3


def test_envoys_own_metrics_name_no_key(front: Gateway) -> None:
    """What Prometheus scrapes from Envoy has its own metrics, and none for each API key."""
    ask(front, front.record("*"))
    url = f"http://127.0.0.1:{front.front.metrics_port}/stats/prometheus"
    text = httpx.get(url, trust_env=False).text
    for name in ("cluster_upstream_rq_total", "http_downstream_rq_total", "server_live"):
        assert f"envoy_{name}{{" in text
    assert "envoy_modelops" not in text
