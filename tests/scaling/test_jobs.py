"""How many replicas a model has that does jobs: laws for whatever its queue holds."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelops.scaling.decide import decide
from modelops.scaling.decision import Decision
from modelops.scaling.jobs import backlog
from modelops.scaling.memory import Memory
from modelops.scaling.policy import Pace, Policy, Targets
from modelops.scaling.reading import Reading

POLICY = Policy(0, 9, Targets(queue_seconds=30), idle_after_seconds=20, down=Pace(0))


def at(second: float, waiting: int = 0, running: int = 0, **given: float | None) -> Reading:
    """Return what a queue tells of so many jobs, of ten seconds each."""
    counts: dict[str, float | None] = {
        "in_flight": waiting + running,
        "held": 0,
        "waiting": waiting,
        "running": running,
        "work_seconds": 10 * waiting + 5 * running,
        "busy": running,
        "replicas": 0,
        "ready": 0,
        **given,
    }
    return Reading(1_700_000_000 + second, jobs=True, **counts)


def decided(policy: Policy, *found: Reading) -> Decision:
    """Return the last decision on these readings."""
    memory, decision = Memory(), None
    for reading in found:
        decision, memory = decide(policy, memory, reading)
    assert decision
    return decision


@pytest.mark.parametrize(
    ("waiting", "running", "said"),
    [
        (0, 0, "no job waits"),
        (1, 0, "1 job waits, 10 s of work"),
        (3, 0, "3 jobs wait, 30 s of work"),
        (0, 1, "1 job runs, 5 s of work"),
        (3, 1, "3 jobs wait and 1 runs, 35 s of work"),
        (1, 2, "1 job waits and 2 run, 20 s of work"),
    ],
)
def test_people_are_told_what_there_is_to_do(waiting: int, running: int, said: str) -> None:
    """How many jobs wait and run, and how much work that is."""
    assert backlog(at(0, waiting, running)) == said


def test_a_job_wakes_its_model_at_once() -> None:
    """From zero to one with the first job, and to as many as the work asks for with many."""
    one = decided(POLICY, at(0), at(0.1, 3))
    assert (one.replicas, one.metric) == (1, "held")
    assert one.sentence == "1 replica: 3 jobs wait, 30 s of work"
    many = decided(POLICY, at(0), at(0.1, 12))
    assert (many.replicas, many.metric, many.value) == (4, "queueSeconds", 120)


def test_a_job_that_went_wakes_nobody() -> None:
    """One that was taken back before anybody looked leaves a sleeping model asleep."""
    assert decided(POLICY, at(0, arrivals=1), at(1, arrivals=2)).replicas == 0


def test_zero_at_rest() -> None:
    """With nothing to do for long enough there is no replica; a job that runs for long keeps it."""
    working = [at(second, 0, 1, replicas=1, ready=1) for second in range(100)]
    assert decided(POLICY, *working).replicas == 1
    resting = [at(100 + second, replicas=1, ready=1) for second in range(21)]
    assert decided(POLICY, *working, *resting[:19]).replicas == 1
    last = decided(POLICY, *working, *resting)
    assert (last.replicas, last.metric) == (0, "idle")


@pytest.mark.parametrize(
    "unknown",
    [
        {"whole": False, "in_flight": None, "waiting": None, "running": None, "work_seconds": None},
        {"work_seconds": float("nan")},
        {"work_seconds": None},
        {"running": -1.0},
    ],
)
def test_a_queue_that_does_not_answer_changes_nothing(unknown: dict[str, float | None]) -> None:
    """However long: what there is stays, and the sentence says why."""
    before = [at(n, 12, 1, replicas=4, ready=4) for n in range(3)]
    after = [replace(at(3 + n, replicas=4, ready=4), **unknown) for n in range(120)]
    last = decided(POLICY, *before, *after)
    assert (last.replicas, last.metric) == (5, "missing")
    assert "as before" in last.sentence


def test_who_does_not_answer_is_named() -> None:
    """It is the queue of jobs, and no gateway or engine."""
    blind = Reading(1_700_000_000, replicas=2, ready=2, jobs=True, whole=False)
    assert (
        decided(POLICY, blind).sentence == "2 replicas as before: the queue of jobs did not answer"
    )


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), min_size=1, max_size=30))
def test_no_replica_goes_that_has_a_job(told: list[tuple[int, int]]) -> None:
    """Replicas are never fewer than those that work, whatever the other targets say."""
    policy = replace(POLICY, targets=Targets(queue_depth=1000))
    memory, last = Memory(), 9
    for second, (waiting, busy) in enumerate(told):
        works = min(busy, last)
        reading = at(second, waiting, works, replicas=last, ready=last)
        decision, memory = decide(policy, memory, reading)
        assert decision.replicas >= works
        last = decision.replicas


@given(st.integers(0, 300), st.integers(0, 300), st.integers(1, 120))
def test_more_work_never_asks_for_less(waiting: int, more: int, target: int) -> None:
    """Of two equal models the one with more jobs gets no fewer replicas."""
    policy = replace(POLICY, maximum=1000, targets=Targets(queue_seconds=target))
    less = decided(policy, at(0), at(1, waiting)).replicas
    assert decided(policy, at(0), at(1, waiting + more)).replicas >= less


@pytest.mark.parametrize(
    ("targets", "metric", "replicas"),
    [
        (Targets(), "queueSeconds", 4),  # 230 s, 60 a replica: as long as a start takes at first
        (Targets(queue_seconds=100), "queueSeconds", 3),
        (Targets(queue_depth=4), "queueDepth", 6),
        (Targets(concurrency=5), "concurrency", 5),
        (Targets(concurrency=5, queue_seconds=30), "queueSeconds", 8),
    ],
)
def test_each_target_asks_by_itself(targets: Targets, metric: str, replicas: int) -> None:
    """Work, jobs that wait or all jobs; without any target work counts, and with another not."""
    policy = replace(POLICY, targets=targets)
    made = decided(policy, at(0, 22, 2, replicas=2, ready=2))
    assert (made.metric, made.replicas) == (metric, replicas)


def test_a_long_job_asks_for_one_replica() -> None:
    """However long two jobs take, a third replica would have nothing to do."""
    assert decided(POLICY, at(0, 2, work_seconds=9000)).replicas == 2


def test_a_replica_that_starts_slowly_is_asked_for_by_more_work() -> None:
    """Without a target a replica comes when there is work for it at the end of its start."""
    slow = replace(POLICY, targets=Targets(), cold_start_seconds=200)
    assert decided(slow, at(0, 22, 2, replicas=1, ready=1)).replicas == 2
    quick = replace(slow, cold_start_seconds=2)
    assert decided(quick, at(0, 22, 2, replicas=1, ready=1)).replicas == 8
