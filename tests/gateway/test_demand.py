"""What gateway pods and engines say adds up to one reading, and that to a decision."""

import asyncio
import json
import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from beside import beside
from gateway.engine import EVENTS
from gateway.engine import Engine as FakeEngine
from gateway.pod import CHAT, POLICY, Told, eventually, page, pods, served_by, telling
from gateway.proxy import Gateway, free_ports
from modelops.gateway.demand import page as pages
from modelops.gateway.demand.demand import Demand
from modelops.gateway.demand.engines import AT_ONCE, PATIENCE, Engine
from modelops.gateway.demand.figures import Figures
from modelops.gateway.demand.first import grown, slowest
from modelops.gateway.demand.local import Local
from modelops.gateway.demand.page import Load, parse
from modelops.gateway.demand.peers import Peers
from modelops.gateway.demand.share import Share
from modelops.gateway.demand.total import Arrivals, Found
from modelops.gateway.loads import Counted
from modelops.gateway.observed import peers
from modelops.gateway.snapshot import Endpoint, Snapshot

COUNTS = st.integers(0, 10_000)
ONE = Endpoint("10.0.0.1", 8000)


@given(st.lists(st.tuples(COUNTS, COUNTS, COUNTS), min_size=1, max_size=6))
def test_what_pods_have_adds_up(told: list[tuple[int, int, int]]) -> None:
    """Requests in flight, held and waiting for their turn are sums over all pods."""
    shares = [
        Share(
            pod=str(number),
            in_flight={"team.chat": active, "team.other": 7},
            held={"team.chat": held},
            queued={"team.chat": queued},
        )
        for number, (active, held, queued) in enumerate(told)
    ]
    reading = Found(shares, {}, {}).reading(CHAT, 1.0)
    active, held, queued = (sum(column) for column in zip(*told, strict=True))
    assert (reading.in_flight, reading.held, reading.waiting) == (active + queued, held, queued)
    assert reading.whole


@pytest.mark.parametrize("missing", [None, Share(pod="b")])
def test_a_pod_that_does_not_answer_is_missed(missing: Share | None) -> None:
    """Without it, or without its Envoy's counts, a reading is not whole: there may be more."""
    known = Share(pod="a", in_flight={"team.chat": 3})
    reading = Found([known, missing], {}, {}).reading(CHAT, 1.0)
    assert not reading.whole
    assert reading.in_flight == 3


def test_an_engine_that_does_not_answer_is_missed() -> None:
    """A replica that is ready and silent leaves a reading that is not whole."""
    model, known = replace(CHAT, endpoints=(ONE, Endpoint("10.0.0.2", 8000))), Share(pod="a")
    shares = [known.model_copy(update={"in_flight": {}})]
    engines = {ONE: Engine(Load(waiting=2, running=3, kv_cache_percent=40), 0)}
    partial = Found(shares, engines, {}).reading(model, 1.0)
    assert (partial.whole, partial.waiting, partial.running) == (False, 2, 3)
    whole = Found(shares, engines, {}).reading(replace(model, endpoints=(ONE,)), 1.0)
    assert (whole.whole, whole.ready, whole.kv_cache_percent) == (True, 1, 40)


def test_every_pod_counts_that_may_have_requests() -> None:
    """A pod that is not ready is asked, too, and one that goes, until its Envoy is gone."""

    def endpoint(address: str, **conditions: bool) -> dict[str, object]:
        return {"addresses": [address], "conditions": conditions}

    manifest = {
        "ports": [{"name": "demand", "port": 9906}],
        "endpoints": [
            endpoint("10.0.0.1", ready=True, serving=True, terminating=False),
            endpoint("10.0.0.2", ready=True, serving=False, terminating=False),
            endpoint("10.0.0.3", ready=True, serving=True, terminating=True),
            endpoint("10.0.0.4", ready=True, serving=False, terminating=True),
        ],
    }
    assert [peer.address[-1] for peer in peers(manifest)] == ["1", "2", "3"]
    assert peers({"endpoints": [endpoint("10.0.0.1")]}) == ()


@given(st.lists(st.lists(COUNTS, max_size=3), max_size=8))
def test_arrivals_never_fall(told: list[list[int]]) -> None:
    """Pods may come, go, and count from zero again: the sum of what arrived only grows."""
    arrivals, before = Arrivals(), 0
    for counts in told:
        arrivals.hear(Share(pod=str(n), arrivals={"m": c}) for n, c in enumerate(counts))
        now = arrivals.total.get("m", 0)
        assert now >= before
        before = now


def test_arrivals_are_what_was_added() -> None:
    """What a pod had counted before it was first heard counts not; later growth does, once."""
    arrivals = Arrivals()
    for first, second in ((100, 5), (103, 5), (104, 1)):
        arrivals.hear(
            [Share(pod="a", arrivals={"m": first}), Share(pod="b", arrivals={"m": second})]
        )
    assert arrivals.total == {"m": 3 + 1 + 1}


def test_models_that_are_gone_are_not_remembered() -> None:
    """Of each model that ever was nothing stays; one that comes back begins at zero."""
    local, arrivals = Local("http://127.0.0.1:1"), Arrivals()
    for total in ({"t.a": 1, "t.b": 1}, {"t.a": 4, "t.b": 3}):
        local.take(Counted({}, total))
        arrivals.hear([local.share])
    for counts in (local, arrivals):
        counts.keep({"t.b", "t.c"})
    assert local.share.arrivals == {"t.b": 2}
    assert arrivals.total == {"t.b": 2}


def test_an_envoy_that_begins_again_counts_from_zero() -> None:
    """No request is counted twice or negatively; chains count for the model that they reach."""
    local = Local("http://127.0.0.1:1")
    for total in ({"t.m": 10}, {"t.m": 12, "t.route/m": 4}, {"t.m": 3}):
        local.take(Counted({"t.m": 1, "t.route/m": 2}, total))
    assert local.share.in_flight == {"t.m": 3}
    assert local.share.arrivals == {"t.m": 6 + 3}
    local.take(None)
    assert local.share.in_flight is None


def test_a_real_envoy_is_understood(front: Gateway, fake: FakeEngine) -> None:
    """A request is in flight while its answer is awaited, has arrived once, and then is gone."""
    local = Local(f"http://127.0.0.1:{front.front.admin_port}", seconds=0.05)

    async def story() -> None:
        async with beside(local.run()):
            await eventually(lambda: local.in_flight is not None)
            before = local.arrivals["team.llama-8b"]
            with ThreadPoolExecutor() as pool:
                asked = pool.submit(ask_and_wait, front)
                await eventually(lambda: (local.in_flight or {}).get("team.llama-8b") == 1)
                fake.release()
                await eventually(lambda: not (local.in_flight or {}).get("team.llama-8b"))
                assert asked.result().status_code == 200
            assert local.arrivals["team.llama-8b"] == before + 1
            assert all("." in cluster for cluster in local.share.in_flight or ())

    fake.hold()
    asyncio.run(story())


def ask_and_wait(front: Gateway) -> httpx.Response:
    """Send a request that is answered when the engine is released."""
    with front.client(front.key("*")) as client:
        return client.post("/v1/chat/completions", json={"model": "llama-8b", "held": True})


def test_a_stream_keeps_its_model_however_long_it_is(front: Gateway, fake: FakeEngine) -> None:
    """While a real Envoy has a stream open the model stays, three times as long as it may idle."""

    async def story() -> None:
        engine = Told(page())  # it says that it has nothing to do
        async with telling(engine):
            model = replace(served_by(engine), name="llama-8b", served_name="llama-8b")
            local = Local(f"http://127.0.0.1:{front.front.admin_port}", seconds=0.05)
            demand = Demand(local, Peers(list), address="127.0.0.1")
            demand.engines.seconds = 0.05
            demand.follow(Snapshot(models=(model,)))

            def decided() -> int | None:
                entry = demand.book.entries.get("team/llama-8b")
                return entry.decision.replicas if entry else None

            ports = free_ports(2)
            with ThreadPoolExecutor() as pool:
                asked = pool.submit(ask_for_stream, front)
                async with beside(demand.run(ports[0], ports[1], asyncio.Event())):
                    await eventually(lambda: (local.in_flight or {}).get("team.llama-8b") == 1)
                    told = []
                    async with asyncio.timeout(20):
                        until = time.monotonic() + 3 * POLICY.idle_after_seconds
                        while time.monotonic() < until:
                            told.append(decided())
                            await asyncio.sleep(0.05)
                    assert set(told) == {1}
                    for _ in range(EVENTS):
                        fake.release()
                    await eventually(lambda: decided() == 0)
                assert asked.result().endswith("data: [DONE]\n\n")

    fake.hold()
    asyncio.run(story())


def ask_for_stream(front: Gateway) -> str:
    """Ask for a stream, and read it to its end."""
    body = {"model": "llama-8b", "stream": True, "gated": True, "messages": []}
    with front.client(front.key("*")) as client:
        return client.post("/v1/chat/completions", json=body).text


def test_a_page_of_vllm_is_understood() -> None:
    """Its gauges are read whatever else it tells; a page that tells nothing says nothing."""
    text = page(waiting=3, running=2, cache=0.25)
    assert parse(text.splitlines()) == Load(3, 2, 25)
    older = text.replace("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
    assert parse(older.splitlines()) == Load(3, 2, 25)
    cores = text + text.replace('engine="0"', 'engine="1"').replace("0.25", "0.5")
    assert parse(cores.splitlines()) == Load(6, 4, 50)
    assert parse(["# nothing", "vllm:num_requests_waiting_by_reason 5"]) == Load()


def test_a_page_of_llama_cpp_is_understood() -> None:
    """llama-server says under other names what waits and runs, and nothing of a cache."""
    text = """# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing 3
# TYPE llamacpp:requests_deferred gauge
llamacpp:requests_deferred 2
llamacpp:tokens_predicted_total 71
"""
    assert parse(text.splitlines()) == Load(waiting=2, running=3)


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-1"])
def test_what_is_no_count_is_not_known(value: str) -> None:
    """A figure that cannot be true is left out, and so are those that it would be added to."""
    text = page(running=2) + f'vllm:num_requests_waiting{{engine="1"}} {value}\n'
    assert parse(text.splitlines()) == Load(None, 2, 0)


@given(st.text(max_size=200))
def test_no_page_does_harm(text: str) -> None:
    """Whatever an engine tells is understood or refused, and nothing else happens."""
    for line in (text, f"{pages.WAITING} {text}", f"{pages.FIRSTS}{{{text}}} 1"):
        try:
            load = parse(line.splitlines())
        except (ValueError, KeyError):
            continue
        assert load.waiting is None or load.waiting >= 0


def test_nine_of_ten_first_tokens_decide() -> None:
    """The time is read from what was added to the histogram, within its bucket."""
    before = {0.1: 90.0, 1.0: 95.0, math.inf: 100.0}
    now = {0.1: 90.0, 1.0: 105.0, math.inf: 110.0}
    assert slowest([grown(before, now)]) == pytest.approx(910)
    assert slowest([grown(now, now)]) is None
    assert slowest([grown(now, before)]) == pytest.approx(100)  # it has been restarted
    assert slowest([{0.1: 0.0, math.inf: 5.0}]) == pytest.approx(100)  # no bound is larger
    assert slowest([]) is None


def test_load_asks_for_replicas() -> None:
    """What pods and engines have leads to a decision on each pod, and the same one."""

    async def story() -> None:
        engine = Told(page(waiting=3, running=2))
        async with telling(engine), pods(2, served_by(engine)) as (one, two):
            one.envoy.active, two.envoy.active = {"team.chat": 2}, {"team.chat": 5}
            for pod in (one, two):
                await eventually(lambda pod=pod: pod.replicas == 4)
                assert pod.metric == "concurrency"

    asyncio.run(story())


def test_nothing_goes_to_zero_while_a_pod_is_missed() -> None:
    """An idle model keeps its replica until every pod says that it has nothing for it."""

    async def story() -> None:
        engine = Told(page())
        async with telling(engine), pods(2, served_by(engine)) as (one, two):
            two.envoy.active = None
            await eventually(lambda: one.metric == "missing")
            await asyncio.sleep(1.5)  # longer than the model has to be idle
            assert one.replicas == 1
            two.envoy.active = {}
            await eventually(lambda: one.replicas == 0)

    asyncio.run(story())


def test_an_engine_that_hangs_keeps_its_model_and_no_other() -> None:
    """Its model is held as it is; those of engines that answer go to zero in their time."""

    async def story() -> None:
        hanging, well = Told(hangs=True), Told(page())
        async with telling(hanging, well):
            other = replace(served_by(well), name="other", served_name="other")
            async with pods(1, served_by(hanging), other) as (pod,):
                entries = pod.demand.book.entries
                await eventually(
                    lambda: "team/other" in entries and not entries["team/other"].decision.active
                )
                assert (pod.replicas, pod.metric) == (1, "missing")

    asyncio.run(story())


def test_engines_that_hang_hold_up_nobody() -> None:
    """However many hang, those that answer are known all the time."""

    async def story() -> None:
        well, hanging = Told(page()), [Told(hangs=True) for _ in range(2 * AT_ONCE + 1)]
        async with telling(well, *hanging):
            where = tuple(one.endpoint for one in hanging)
            stuck = replace(served_by(well), name="stuck", served_name="stuck", endpoints=where)
            async with pods(1, served_by(well), stuck) as (pod,):
                engines = pod.demand.engines
                await eventually(lambda: well.endpoint in engines.known)
                before = well.asked
                await asyncio.sleep(3 * PATIENCE)
                assert well.endpoint in engines.fresh(time.monotonic())
                assert well.asked > before + 10
                await eventually(lambda: all(one.asked for one in hanging))

    asyncio.run(story())


@pytest.mark.parametrize(
    "text",
    [
        "".join(f'{pages.FIRSTS}{{le="{n}"}} 1\n' for n in range(300)),
        "".join(f'{pages.WAITING[0]}{{engine="{n}"}} 1\n' for n in range(9000)),
        f'{pages.WAITING[0]}{{engine="{"x" * 300_000}"}} 1\n',
    ],
    ids=["bounds", "lines", "a long line"],
)
def test_a_page_that_would_cost_too_much_is_refused(text: str) -> None:
    """An engine is no more than one: its figures take neither the others' time nor their memory."""
    with pytest.raises(ValueError, match="of"):
        parse(text.splitlines())


def test_a_large_page_of_vllm_is_understood() -> None:
    """An engine with many cores tells each figure once for each of them."""
    cores = "".join(page(waiting=1).replace('engine="0"', f'engine="{n}"') for n in range(64))
    assert parse(cores.splitlines()).waiting == 64


@pytest.mark.parametrize(
    "told",
    [Told(status=500), Told(page="vllm:num_requests_waiting what"), Told(page="#" * 5 * 2**20)],
)
def test_an_engine_that_tells_nonsense_has_not_answered(told: Told) -> None:
    """An error, a page that is none and one without end are the same as silence."""

    async def story() -> None:
        async with telling(told), pods(1, served_by(told)) as (pod,):
            await eventually(lambda: told.asked >= 2)
            await eventually(lambda: pod.metric == "missing")
            assert not pod.demand.engines.known

    asyncio.run(story())


def test_others_may_read_the_decisions() -> None:
    """They stand at /decisions with all that explains them, and among the metrics."""

    async def story() -> None:
        engine = Told(page())
        async with (
            telling(engine),
            pods(1, served_by(engine)) as (pod,),
            httpx2.AsyncClient() as web,
        ):
            pod.envoy.active = {"team.chat": 6}
            await eventually(lambda: pod.replicas == 3)
            answer = await web.get(f"http://127.0.0.1:{pod.port}/decisions")
            told = answer.json()["models"]["team/chat"]
            assert {"replicas": 3, "active": True, "metric": "concurrency"}.items() <= told.items()
            assert (told["value"], told["target"]) == (6, 2)
            assert told["sentence"]
            registry = CollectorRegistry()
            registry.register(Figures(pod.demand.book))
            families = {f.name: f.samples for f in registry.collect()}
            (replicas,) = families["modelops_gateway_scaling_replicas"]
            assert replicas.labels == {"model_namespace": "team", "model": "chat"}
            assert replicas.value == 3
            (blind,) = families["modelops_gateway_scaling_blind"]
            assert blind.value == 0
            (value,) = families["modelops_gateway_scaling_value"]
            assert (value.labels["metric"], value.value) == ("concurrency", 6)

    asyncio.run(story())


def test_a_pod_that_lies_is_not_believed() -> None:
    """What is no share, or too large for one, is the same as no answer."""
    for text in ("", "[]", '{"pod": 1}', json.dumps({"pod": "a", "held": {"m": -1}})):
        with pytest.raises(ValueError, match="validation error"):
            Share.model_validate_json(text)
    assert Share.model_validate_json('{"pod": "a", "of_a_later_version": 1}').in_flight is None
