"""Laws of the decision, for whatever is read."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.scaling.decide import decide
from modelops.scaling.decision import Decision
from modelops.scaling.memory import Memory
from modelops.scaling.policy import Pace, Policy, Targets
from modelops.scaling.reading import Reading

NAMES = (
    *("in_flight", "held", "waiting", "running", "arrivals"),
    *("kv_cache_percent", "ttft_milliseconds", "replicas", "ready", "work_seconds", "busy"),
)
COUNTS = st.integers(0, 500)
ODD = st.one_of(
    st.none(),
    COUNTS,
    st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 1e12, 1e300]),
)
TARGETS = st.builds(
    Targets,
    queue_depth=st.none() | st.integers(1, 50),
    concurrency=st.none() | st.integers(1, 50),
    kv_cache_percent=st.none() | st.integers(1, 100),
    ttft_milliseconds=st.none() | st.integers(1, 5000),
    queue_seconds=st.none() | st.integers(1, 600),
)
PACES = st.builds(
    Pace,
    window_seconds=st.sampled_from([0, 1, 30, 300]),
    replicas_a_minute=st.none() | st.integers(1, 5),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Return any policy."""
    low, high = sorted((draw(st.integers(0, 20)), draw(st.integers(0, 20))))
    return Policy(
        minimum=low,
        maximum=high,
        targets=draw(TARGETS),
        idle_after_seconds=draw(st.sampled_from([0, 10, 300])),
        up=draw(PACES),
        down=draw(PACES),
        capacity=draw(st.none() | st.integers(1, 64)),
    )


@st.composite
def readings(draw: st.DrawFn, values: st.SearchStrategy[float | None] = ODD) -> list[Reading]:
    """Return readings of some minutes of one model, sometimes late or far apart."""
    now, found, jobs = 1_700_000_000.0, [], draw(st.booleans())
    for step in draw(st.lists(st.sampled_from([1, 1, 1, 5, 20, 400, -1, -300, 0]), max_size=25)):
        now += step
        counts = {name: draw(values) for name in NAMES}
        found.append(Reading(now, whole=draw(st.booleans()), jobs=jobs, **counts))
    return found


def decisions(policy: Policy, found: list[Reading]) -> list[Decision]:
    """Return what is decided for these readings, one after the other."""
    memory, made = Memory(), []
    for reading in found:
        decision, memory = decide(policy, memory, reading)
        made.append(decision)
    return made


def at(second: float, load: float = 0, **given: float | None) -> Reading:
    """Return a whole reading of a model whose engines have that many requests."""
    counts = {"in_flight": load, "held": 0, "waiting": 0, "running": load, "arrivals": 0}
    return Reading(1_700_000_000 + second, **{**counts, "replicas": 1, "ready": 1, **given})


@given(policies(), readings())
def test_never_outside_of_the_policy(policy: Policy, found: list[Reading]) -> None:
    """Whatever is read, there are at least the minimum and at most the maximum of replicas."""
    for decision in decisions(policy, found):
        assert policy.minimum <= decision.replicas <= policy.maximum
        assert decision.active == (decision.replicas > 0)
        assert decision.sentence


@given(policies(), readings())
def test_the_same_readings_decide_the_same(policy: Policy, found: list[Reading]) -> None:
    """The decision is a function of the policy and of what was read."""
    assert decisions(policy, found) == decisions(policy, found)


@given(policies(), readings(COUNTS), readings())
def test_what_is_missing_never_lowers(
    policy: Policy, before: list[Reading], odd: list[Reading]
) -> None:
    """A reading with a part that is missing or impossible never takes a replica away."""
    memory, last = Memory(), None
    for reading in [*before, *odd]:
        decision, memory = decide(policy, memory, reading)
        broken = not reading.whole or reading.believed()[1] or reading.load is None
        if broken and last is not None:
            assert decision.replicas >= last.replicas
        last = decision


@given(policies(), readings())
def test_zero_only_from_silence(policy: Policy, found: list[Reading]) -> None:
    """From some replicas to none only by a whole reading in which every count is zero."""
    memory, last = Memory(), None
    for reading in found:
        decision, memory = decide(policy, memory, reading)
        if last is not None and last.replicas > 0 and decision.replicas == 0:
            assert reading.silent
            assert decision.metric == "idle"
        last = decision


@given(st.integers(1, 400), st.integers(0, 400), st.integers(1, 40))
def test_more_load_never_asks_for_less(load: int, more: int, target: int) -> None:
    """Of two equal models the one with more requests gets no fewer replicas."""
    policy = Policy(1, 100, Targets(concurrency=target))
    less = decisions(policy, [at(0, load)])[0].replicas
    assert decisions(policy, [at(0, load + more)])[0].replicas >= less


@pytest.mark.parametrize(
    "odd",
    [
        {"in_flight": math.nan},
        {"in_flight": None, "waiting": None, "running": None, "held": None},
        {"in_flight": -5},
        {"running": 1e12},
        {"whole": False},
    ],
)
def test_missing_holds_and_says_so(odd: dict[str, float | None]) -> None:
    """What is missing, impossible or in part keeps the replicas, and the sentence tells."""
    policy = Policy(0, 9, Targets(concurrency=10), idle_after_seconds=0, down=Pace(0))
    seen = [at(0, 45), *(at(1 + n, 0, **odd) for n in range(50))]
    made = decisions(policy, seen)
    assert {decision.replicas for decision in made} == {5}
    assert made[-1].metric == "missing"
    assert "as before" in made[-1].sentence


@pytest.mark.parametrize(("before", "asked"), [(0, 1), (1, 5)])
def test_what_is_missing_takes_nothing_from_who_asked_for_more(before: int, asked: int) -> None:
    """What somebody else asked for meanwhile stays while nobody knows what is needed."""
    policy = Policy(0, 9, Targets(concurrency=10), idle_after_seconds=300)
    seen = [at(n, before, replicas=before, ready=before) for n in range(3)]
    blind = [at(n, before, replicas=asked, ready=before, whole=False) for n in range(3, 9)]
    made = decisions(policy, seen + blind)
    assert [decision.replicas for decision in made] == [before] * 3 + [asked] * 6


def test_late_readings_hold() -> None:
    """A reading older than the last one changes nothing, and neither does an equal one."""
    policy = Policy(1, 9, Targets(concurrency=10), down=Pace(0))
    made = decisions(policy, [at(9, 45), at(8, 0), at(9, 0), at(9.5, 5)])
    assert [decision.replicas for decision in made] == [5, 5, 5, 1]


def test_a_clock_that_was_set_back_is_believed() -> None:
    """After a clock went back for good, decisions go on."""
    policy = Policy(1, 9, Targets(concurrency=10))
    made = decisions(policy, [at(5000, 45), at(0, 45), at(1, 85)])
    assert [decision.replicas for decision in made] == [5, 5, 9]


def test_zero_when_idle_for_long_enough() -> None:
    """With a minimum of zero a silent model goes to zero after its time, no sooner."""
    policy = Policy(0, 3, Targets(concurrency=4), idle_after_seconds=60)
    made = decisions(policy, [at(0, 3), *(at(n) for n in range(1, 70))])
    assert [n for n, decision in enumerate(made) if decision.replicas == 0] == list(range(60, 70))
    assert made[-1].metric == "idle"


@pytest.mark.parametrize("arrived", [{"arrivals": 7}, {"running": 1}, {"held": 1}])
def test_a_short_request_is_activity(arrived: dict[str, float]) -> None:
    """Idle time begins anew with whatever shows that somebody was there."""
    policy = Policy(0, 3, Targets(concurrency=4), idle_after_seconds=60)
    later = {"arrivals": arrived.get("arrivals", 0)}
    seen = [at(n) for n in range(50)] + [at(50, **arrived)]
    made = decisions(policy, seen + [at(n, **later) for n in range(51, 109)])
    assert all(decision.replicas == 1 for decision in made)


def test_a_gap_in_readings_is_no_idleness() -> None:
    """Nobody knows what happened between readings that are far apart."""
    policy = Policy(0, 3, Targets(concurrency=4), idle_after_seconds=60)
    made = decisions(policy, [at(0), at(1), at(100), at(101)])
    assert [decision.replicas for decision in made] == [1, 1, 1, 1]


@pytest.mark.parametrize("whole", [True, False])
def test_from_zero_at_once(*, whole: bool) -> None:
    """A held request wakes a model at zero, even when some gateway did not answer."""
    policy = Policy(0, 3, Targets(concurrency=4))
    asleep = [at(n, replicas=0, ready=0) for n in range(3)]
    held = at(3, 1, held=1, running=0, replicas=0, ready=0)
    made = decisions(policy, [*asleep, replace(held, whole=whole)])
    assert [decision.replicas for decision in made] == [0, 0, 0, 1]
    assert made[-1].metric == "held"


def test_who_woke_it_by_hand_has_time() -> None:
    """A model that somebody else scaled from zero stays until it was idle for its time."""
    policy = Policy(0, 3, Targets(concurrency=4), idle_after_seconds=60)
    asleep = [at(n, replicas=0, ready=0) for n in range(100)]
    woken = [at(n) for n in range(100, 170)]
    made = decisions(policy, asleep + woken)
    assert [n for n in range(100, 170) if made[n].replicas == 0] == list(range(160, 170))


@given(st.integers(1, 60), st.integers(1, 20))
def test_a_constant_load_changes_nothing(load: int, target: int) -> None:
    """Under a load that stays, the replicas stay."""
    policy = Policy(1, 60, Targets(concurrency=target))
    made = decisions(policy, [at(n, load) for n in range(300)])
    assert len({decision.replicas for decision in made}) == 1


def test_scale_down_waits_for_its_window() -> None:
    """Replicas go only after the load asked for fewer all through the window."""
    policy = Policy(1, 9, Targets(concurrency=10), down=Pace(window_seconds=60))
    made = decisions(policy, [at(0, 45), *(at(n, 5) for n in range(1, 70))])
    assert made[50].replicas == 5
    assert made[50].metric == "window"
    assert made[-1].replicas == 1


def test_a_restart_never_scales_down_at_once() -> None:
    """Without memory, what is there counts as asked for."""
    policy = Policy(1, 9, Targets(concurrency=10), down=Pace(window_seconds=60))
    made = decisions(policy, [at(n, 5, replicas=6) for n in range(70)])
    assert made[0].replicas == 6
    assert made[-1].replicas == 1


def test_the_pace_limits_each_minute() -> None:
    """No more replicas a minute than the policy says, either way."""
    slow = Pace(replicas_a_minute=2)
    policy = Policy(1, 20, Targets(concurrency=1), up=slow, down=slow)
    made = decisions(policy, [at(n, 1 if n == 0 else 15) for n in range(200)])
    assert made[30].replicas == 3
    assert made[30].metric == "pace"
    assert all(made[n + 55].replicas - made[n].replicas <= 2 for n in range(140))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Policy(3, 2),
        lambda: Policy(-1, 2),
        lambda: Targets(queue_depth=0),
        lambda: Targets(kv_cache_percent=101),
        lambda: Pace(window_seconds=-1),
        lambda: Pace(replicas_a_minute=0),
        lambda: Policy(1, 2, idle_after_seconds=-1),
        lambda: Policy(1, 2, capacity=0),
    ],
)
def test_what_cannot_be_met_is_refused(make: type[Policy]) -> None:
    """Targets that no number of replicas can meet are no policy; the message says what to write."""
    with pytest.raises(ValueError, match="write"):
        make()
