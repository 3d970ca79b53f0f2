"""What is learnt of a model while it is watched, and what that asks for."""

import math
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.scaling.asks import BUSY, DEVIATIONS, LEAST_BUSY
from modelops.scaling.decide import decide
from modelops.scaling.decision import Decision
from modelops.scaling.memory import Memory
from modelops.scaling.policy import Pace, Policy, Targets
from modelops.scaling.pulse import LIMIT_SECONDS, Pulse
from modelops.scaling.reading import Reading
from modelops.scaling.start import LOST_SECONDS, Start


def felt(readings: Iterable[tuple[Reading, float]], pulse: Pulse | None = None) -> Pulse:
    """Return the pulse after readings, each with the requests that arrived before it."""
    pulse = pulse or Pulse()
    for reading, arrived in readings:
        pulse = pulse.feel(reading, arrived, slow=False)
    return pulse


def steady(seconds: int, begin: int = 0, **given: float) -> list[tuple[Reading, float]]:
    """Return readings of two replicas that answer six requests a second."""
    counts = {"ready": 2, "in_flight": 20, "running": 20, "waiting": 0, "kv_cache_percent": 25}
    reading = Reading(0, **{**counts, **given})
    return [(replace(reading, at=begin + n), 6.0) for n in range(seconds)]


def test_a_steady_load_has_no_trend() -> None:
    """What stays does not grow, and its rates are what they are."""
    pulse = felt(steady(400))
    assert pulse.growth(60) == 0
    assert pulse.coming == pytest.approx(6)
    assert pulse.done == pytest.approx(3)


def test_growth_goes_on() -> None:
    """A load that grows by one a second will have grown in a minute, but for what may be chance."""
    readings = [(replace(r, in_flight=50 + r.at), a) for r, a in steady(600)]
    assert 30 < felt(readings).growth(60) < 60
    assert felt(readings[:200]).growth(60) > felt(readings[:60]).growth(60)


def test_the_cache_tells_what_a_replica_holds() -> None:
    """Ten requests that fill a quarter of the cache mean that forty fit, or fewer if told."""
    pulse = felt(steady(60))
    assert pulse.capacity(None) == pytest.approx(40)
    assert pulse.capacity(256) == pytest.approx(40)
    assert pulse.capacity(16) == 16
    assert Pulse().capacity(256) == 256
    assert felt(steady(60, kv_cache_percent=1)).capacity(256) == 256


def test_a_limit_is_known_once_it_was_seen() -> None:
    """What replicas do at most is known after requests waited at all of them for long."""
    pulse = felt(steady(100))
    assert pulse.limit is None
    assert felt(steady(10, 100, waiting=8), pulse).limit is None
    pressed = felt(steady(30, 100, waiting=8), pulse)
    assert pressed.limit == pytest.approx(3, rel=0.05)
    later = replace(pressed, at=130 + LIMIT_SECONDS)
    assert later.limit is None


def test_a_limit_follows_requests_that_become_longer() -> None:
    """When replicas at their limit answer fewer than before, the limit is what they do now."""
    before = felt(steady(130, waiting=8))
    fewer = [(reading, 2.0) for reading, _ in steady(400, 130, waiting=8)]
    assert before.limit == pytest.approx(3, rel=0.05)
    assert felt(fewer, before).limit == pytest.approx(1, rel=0.15)


def test_a_late_first_token_is_a_limit_too() -> None:
    """A first token that is late for long means that replicas can do no more."""
    pulse = felt(steady(100))
    for reading, arrived in steady(30, 100):
        pulse = pulse.feel(reading, arrived, slow=True)
    assert pulse.limit == pytest.approx(3, rel=0.05)


@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.integers(0, 900), st.integers(0, 9), st.integers(0, 5000)),
        max_size=40,
    )
)
def test_what_is_learnt_stays_a_number(steps: list[tuple[int, int, int, int]]) -> None:
    """Whatever happens, means are finite and never negative."""
    pulse, now = Pulse(), 0.0
    for seconds, load, ready, arrived in steps:
        now += seconds
        reading = Reading(now, ready=ready, in_flight=load, running=load, kv_cache_percent=50)
        pulse = pulse.feel(reading, arrived, slow=load > 400)
        for value in (pulse.fast, pulse.slow, pulse.coming, pulse.done, pulse.most, pulse.cached):
            assert 0 <= value < math.inf
        assert 0 <= pulse.growth(60) < math.inf


def test_starts_are_learnt() -> None:
    """How long replicas took from being asked for to ready is what the next ones will take."""
    start = Start()
    assert start.horizon(None) == 60
    assert start.horizon(5) == 5
    start = start.ask(100, ready=1, wanted=3).see(110, ready=2).ask(110, ready=2, wanted=3)
    assert start.see(140, ready=3).horizon(None) == 40
    again = start.see(140, ready=3).ask(200, ready=3, wanted=4).see(220, ready=4)
    assert again.horizon(None) == 30
    assert again.horizon(5) == 5


def test_starts_that_never_end_are_none() -> None:
    """A replica that there is no room for, or that is not wanted any more, teaches nothing."""
    start = Start().ask(0, ready=1, wanted=2)
    assert start.see(LOST_SECONDS + 1, ready=2).seconds is None
    assert start.ask(10, ready=1, wanted=1).see(20, ready=2).seconds is None


def made(policy: Policy, readings: Iterable[Reading]) -> list[Decision]:
    """Return the decisions."""
    memory, found = Memory(), []
    for reading in readings:
        decision, memory = decide(policy, memory, reading)
        found.append(decision)
    return found


def seen(at: float, load: float, **given: float | None) -> Reading:
    """Return a whole reading of four replicas."""
    counts = {"in_flight": load, "held": 0, "waiting": 0, "running": load, "arrivals": 2 * at}
    return Reading(at, **{**counts, "replicas": 4, "ready": 4, **given})


def test_one_field_scales_by_what_the_cache_holds() -> None:
    """Without targets, replicas follow what an engine's own cache says that it holds."""
    policy = Policy(1, 20, capacity=256)
    readings = [seen(n, 80, kv_cache_percent=50) for n in range(300)]
    last = made(policy, readings)[-1]
    assert last.replicas == math.ceil((80 + DEVIATIONS * math.sqrt(80)) / (40 * BUSY))
    assert last.metric == "concurrency"


def replicas_for(load: int, swing: int = 0) -> int:
    """Return how many replicas of 40 requests a load has that swings by so many to both sides."""
    loads = (load + swing * (-1) ** (n // 5) for n in range(600))
    readings = (seen(n, each, kv_cache_percent=each / 1.6) for n, each in enumerate(loads))
    return made(Policy(1, 400, capacity=40), readings)[-1].replicas


def test_a_large_load_needs_a_smaller_share_for_chance() -> None:
    """Ten times the requests have fewer than ten times the replicas, and never less than BUSY."""
    few, many = replicas_for(60), replicas_for(600)
    assert 60 / (40 * BUSY) <= few <= 60 / (40 * LEAST_BUSY) + 1
    assert 600 / (40 * BUSY) <= many < 10 * few


def test_a_load_that_swings_has_more_replicas() -> None:
    """What the load was seen to swing by is kept free, up to half of all."""
    assert replicas_for(600) < replicas_for(600, 100) <= math.ceil(700 / (40 * LEAST_BUSY))


def test_a_queue_that_was_drained_does_not_take_replicas_away() -> None:
    """Replicas that were too few once are not taken away because they are enough now."""
    policy = Policy(1, 20, capacity=256, down=Pace(30))
    busy = [seen(n, 200, waiting=100, running=100, kv_cache_percent=9) for n in range(100)]
    after = [
        seen(n, max(12, 388 - 1.88 * n), kv_cache_percent=9, ready=8, replicas=8)
        for n in range(100, 400)
    ]
    last = made(policy, busy + after)[-1]
    assert last.metric == "throughput"
    assert 5 <= last.replicas <= 6


@pytest.mark.parametrize(
    ("targets", "given", "metric", "replicas", "says"),
    [
        ({"queue_depth": 2}, {"waiting": 15}, "queueDepth", 8, "15 requests wait"),
        ({"kv_cache_percent": 50}, {"kv_cache_percent": 80}, "kvCachePercent", 7, "80% full"),
        (
            {"ttft_milliseconds": 1000},
            {"ttft_milliseconds": 1400},
            "timeToFirstTokenMilliseconds",
            6,
            "takes 1400 ms",
        ),
    ],
)
def test_each_target_asks(
    targets: dict[str, int], given: dict[str, float], metric: str, replicas: int, says: str
) -> None:
    """Each target asks for so many replicas that it is met, and the sentence tells."""
    policy = Policy(1, 20, Targets(**targets), capacity=64)
    decision = made(policy, [seen(1, 8, **given)])[-1]
    assert (decision.metric, decision.replicas) == (metric, replicas)
    assert says in decision.sentence


def test_nothing_more_is_asked_for_while_replicas_start() -> None:
    """A first token that is late asks once, and again when what it asked for is there."""
    policy = Policy(1, 90, Targets(ttft_milliseconds=1000), capacity=64)
    late = [seen(n, 8, ttft_milliseconds=9000) for n in range(1)]
    starting = [seen(n, 8, ttft_milliseconds=9000, replicas=6) for n in range(1, 30)]
    decisions = made(policy, late + starting)
    assert {decision.replicas for decision in decisions} == {6}


def test_a_missing_metric_is_named() -> None:
    """What a target goes by and nobody knows keeps the replicas, and is named."""
    policy = Policy(1, 20, Targets(kv_cache_percent=50), capacity=64)
    decision = made(policy, [seen(1, 8, kv_cache_percent=90), seen(2, 8)])[-1]
    assert decision.metric == "missing"
    assert "how full the KV cache is" in decision.sentence
    assert decision.replicas == 8
