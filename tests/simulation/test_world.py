"""Laws of what is simulated: work is conserved, time runs forwards, costs add up."""

from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelops.scaling.policy import Pace, Policy, Targets
from modelops.scaling.reading import Reading
from modelops.simulation.scalers import Fixed, Keda, Modelops
from modelops.simulation.speed import L4_8B, Speed
from modelops.simulation.trace import Request, Trace
from modelops.simulation.world import PATIENCE_SECONDS, Played, Scaler, Setting, World

SMALL = Speed(0.05, 1e-6, 1e-3, cache_tokens=600, most_sequences=4, step_tokens=128)
REQUESTS = st.builds(Request, st.floats(0, 120), st.integers(1, 900), st.integers(1, 60))
TRACES = st.lists(REQUESTS, max_size=60).map(
    lambda found: tuple(sorted(found, key=lambda request: request.at))
)


@dataclass(slots=True)
class Whim:
    """Somebody who scales by chance, and who checks what is read."""

    seed: int
    every: float = 3.0
    blind: bool = False
    seen: list[Reading] = field(default_factory=list)
    chance: Random = field(init=False)

    def __post_init__(self) -> None:
        """Make the chance of the seed."""
        self.chance = Random(self.seed)  # noqa: S311  a simulation, no secret

    def wanted(self, reading: Reading) -> int:
        """Return any number."""
        self.seen.append(reading)
        return self.chance.randint(0, 5)


def play(trace: Trace, scaler: Scaler, **given: float) -> Played:
    """Play a trace of two minutes on small engines."""
    setting = Setting(speed=SMALL, **{"cold_start_seconds": 7.0, **given})  # type: ignore[arg-type]
    return World(setting, scaler).play(trace, 120.0)


@given(TRACES, st.integers(0, 10_000), st.sampled_from([0.0, 5.0, 600.0]))
@settings(deadline=None)
def test_work_is_conserved(trace: Trace, seed: int, drain: float) -> None:
    """Every request ends once, is cut by a drain or is still open, whoever scales and how."""
    whim = Whim(seed)
    played = play(trace, whim, drain_seconds=drain, seed=seed)
    ended = [job for job in played.jobs if job.end is not None]
    assert [job.request for job in played.jobs] == list(trace)
    for reading in whim.seen:
        engines = (reading.waiting or 0) + (reading.running or 0) + (reading.held or 0)
        assert reading.in_flight == engines
        before = sum(request.at < reading.at for request in trace)
        assert before <= (reading.arrivals or 0) <= sum(r.at <= reading.at for r in trace)
    open_ = len(played.jobs) - len(ended)
    assert open_ == 0 or played.moments[-1].at > 120.0 + PATIENCE_SECONDS - 2
    assert drain < 600.0 or not any(job.cut for job in played.jobs)


@given(TRACES, st.integers(0, 10_000))
@settings(deadline=None)
def test_nothing_is_served_before_it_came(trace: Trace, seed: int) -> None:
    """A first token comes after the prompt was read, the others one by one after it."""
    for job in play(trace, Whim(seed), seed=seed).jobs:
        request = job.request
        if job.first is not None:
            read = SMALL.prompt_token_seconds * request.prompt
            assert job.first >= request.at + read - 1e-6
        if job.first is not None and job.end is not None and not job.cut:
            assert job.end - job.first >= SMALL.step_seconds * (request.answer - 1) - 1e-6


@given(TRACES, st.integers(0, 10_000))
@settings(deadline=None)
def test_replica_hours_add_up(trace: Trace, seed: int) -> None:
    """The hours are those of the replicas that were there, second by second."""
    played = play(trace, Whim(seed), seed=seed)
    seconds = sum(moment.replicas for moment in played.moments if moment.at < 120.0)
    changes = len(played.replicas)
    assert played.replica_hours * 3600 == pytest.approx(seconds, abs=changes + 1)


@given(TRACES, st.integers(0, 10_000))
@settings(deadline=None)
def test_the_same_seed_plays_the_same(trace: Trace, seed: int) -> None:
    """What is played is a function of trace, setting, scaler and seed."""
    first, second = (play(trace, Whim(seed), seed=seed) for _ in range(2))
    assert [(j.first, j.end, j.cut) for j in first.jobs] == [
        (j.first, j.end, j.cut) for j in second.jobs
    ]
    assert first.replicas == second.replicas
    assert first.moments == second.moments


def test_one_request_takes_what_the_roofline_says() -> None:
    """An answer takes its prompt's time, then a step for each further token."""
    played = World(Setting(), Fixed(1)).play((Request(1.0, 1000, 101),), 60.0)
    job = played.jobs[0]
    assert job.first == pytest.approx(1.0 + L4_8B.step_seconds + 1000 * L4_8B.prompt_token_seconds)
    assert job.end is not None
    assert job.first is not None
    step = L4_8B.step_seconds + 1050 * L4_8B.cached_token_seconds
    assert job.end - job.first == pytest.approx(100 * step, rel=0.01)


def test_a_full_cache_lets_requests_wait() -> None:
    """No more is taken in than the cache holds, in order of arrival."""
    trace = tuple(Request(n / 1000, 200, 50) for n in range(6))
    played = play(trace, Fixed(1))
    waits = [moment.waiting for moment in played.moments[:3]]
    assert waits[1] == 4
    firsts = [job.first for job in played.jobs]
    assert firsts == sorted(firsts, key=lambda first: first or 0)


def test_a_replica_serves_after_its_cold_start() -> None:
    """From zero, a request is held until the replica that was asked for is ready."""
    policy = Policy(0, 2, Targets(concurrency=4), idle_after_seconds=20, down=Pace(5))
    played = play((Request(10.5, 100, 10),), Modelops(policy), replicas=0)
    first = played.jobs[0].first
    assert first is not None
    assert 11.0 + 7.0 < first < 11.0 + 7.0 + 1.0
    ends = [gone for _, gone in played.replicas]
    assert len(ends) == 1
    assert 37 < ends[0] < 42


def test_a_drain_that_is_too_short_cuts() -> None:
    """A replica that leaves finishes what it has within its drain, and the rest is cut."""
    policy = Policy(1, 2, Targets(concurrency=1), down=Pace(0))
    trace = (Request(0.1, 10, 59), Request(0.2, 10, 2), Request(20.0, 10, 3000))
    played = play((*trace, Request(30.0, 10, 2)), Modelops(policy), drain_seconds=2.0)
    assert not played.jobs[0].cut
    assert all(job.end is not None for job in played.jobs)


def keda(queue: float, replicas: int, at: float = 0.0) -> Reading:
    """Return a reading of a queue."""
    return Reading(at, replicas=replicas, ready=replicas, waiting=queue, held=0)


@pytest.mark.parametrize(
    ("queue", "replicas", "wanted"),
    [(0, 4, 1), (20, 4, 4), (21, 4, 4), (23, 4, 5), (500, 4, 8), (500, 1, 5), (500, 10, 12)],
)
def test_keda_asks_for_the_queue_over_its_target(queue: int, replicas: int, wanted: int) -> None:
    """Queue over target, rounded up; nothing within 10%; up by 4 or twofold; no more than most."""
    assert Keda(1, 12, 5.0).wanted(keda(queue, replicas)) == wanted


@pytest.mark.parametrize(
    ("minimum", "changes"), [(1, {0: 5, 15: 6, 405: 1}), (0, {0: 5, 15: 6, 390: 0})]
)
def test_keda_goes_down_after_its_windows(minimum: int, changes: dict[int, int]) -> None:
    """Down to the most wanted within 300 s of a sync; to zero 300 s after the last busy poll."""
    scaler, replicas, found = Keda(minimum, 12, 5.0), minimum, {}
    for second in range(700):
        before = replicas
        replicas = scaler.wanted(keda(30 if second < 100 else 0, replicas, second))
        found |= {second: replicas} if replicas != before else {}
    assert found == changes
