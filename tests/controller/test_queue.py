"""The laws of the work queue, in virtual time."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.virtual import run
from modelops.controller.queue import Backoff, Queue

KEYS = ("a", "b", "c")
quarters = st.integers(min_value=0, max_value=20).map(lambda n: n / 4)
adds = st.lists(st.tuples(st.sampled_from(KEYS), quarters, quarters), max_size=30)
"""A key, the pause before it is added, and the delay that it is added with."""


@dataclass
class Work:
    """Records when each key was worked on; each piece takes a second."""

    fails: int = 0
    recheck: float | None = None
    spans: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    running: int = 0
    most: int = 0

    async def __call__(self, key: str) -> float | None:
        """Work on a key for a second; the first `fails` times it fails."""
        loop = asyncio.get_running_loop()
        self.running += 1
        self.most = max(self.most, self.running)
        began = loop.time()
        await asyncio.sleep(1)
        self.running -= 1
        self.spans[key].append((began, loop.time()))
        if len(self.spans[key]) <= self.fails:
            raise ValueError(key)
        return self.recheck

    def begins(self, key: str) -> list[float]:
        """Return when work on a key began."""
        return [began for began, _ in self.spans[key]]


async def work_off(work: Work, plan: list[tuple[str, float, float]], workers: int = 2) -> None:
    """Add keys by plan, then wait until all of it is long done."""
    queue = Queue(work, Backoff(jitter=0))
    running = asyncio.create_task(queue.run(workers))
    for key, pause, delay in plan:
        if pause:
            await asyncio.sleep(pause)
        queue.add(key, delay)
    await asyncio.sleep(100)
    queue.close()
    await running


@settings(deadline=None)
@given(adds)
def test_every_key_is_worked_on_after_its_last_add(plan: list[tuple[str, float, float]]) -> None:
    """Work on a key begins at or after the time for which it was last wanted at once."""
    work = Work()
    run(work_off(work, plan))
    time, wanted = 0.0, {}
    for key, pause, delay in plan:
        time += pause
        if delay == 0:
            wanted[key] = time
    assert set(work.spans) == {key for key, _, _ in plan}
    for key, moment in wanted.items():
        assert work.begins(key)[-1] >= moment


@settings(deadline=None)
@given(adds, st.integers(min_value=1, max_value=4))
def test_one_worker_a_key_and_no_more_than_all_workers(
    plan: list[tuple[str, float, float]], workers: int
) -> None:
    """No key is worked on twice at once, and never more keys at once than there are workers."""
    work = Work()
    run(work_off(work, plan, workers))
    assert work.most <= workers
    for spans in work.spans.values():
        assert all(end <= began for (_, end), (began, _) in pairwise(spans))


@settings(deadline=None)
@given(st.lists(st.sampled_from(KEYS), min_size=1, max_size=50))
def test_a_burst_is_one_piece_of_work(keys: list[str]) -> None:
    """Keys that come while they wait are worked on once."""
    work = Work()
    run(work_off(work, [(key, 0, 0) for key in keys]))
    assert all(len(spans) == 1 for spans in work.spans.values())


def test_a_key_that_comes_during_its_work_is_worked_on_again() -> None:
    """What changed while a pass was under way is seen by another pass, once."""
    work = Work()
    run(work_off(work, [("a", 0, 0), ("a", 0.5, 0), ("a", 0.1, 0)]))
    assert work.begins("a") == [0, 1]


def test_the_soonest_wish_wins() -> None:
    """Of several delays the shortest counts, and an add at once beats them all."""
    work = Work()
    run(work_off(work, [("a", 0, 30), ("a", 0, 10), ("a", 0, 20), ("b", 0, 30), ("b", 2, 0)]))
    assert work.begins("a") == [10]
    assert work.begins("b") == [2]


def test_a_recheck_comes_when_it_was_asked_for() -> None:
    """The handler's result is the pause before the key's next turn."""
    work = Work(recheck=9)
    run(work_off(work, [("a", 0, 0)]))
    assert work.begins("a")[:4] == [0, 10, 20, 30]


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=6))
def test_failures_are_retried_with_growing_pauses(fails: int) -> None:
    """A key that fails comes again by itself, each time after twice the pause, until it works."""
    work = Work(fails=fails)
    run(work_off(work, [("a", 0, 0)]))
    begins = work.begins("a")
    pauses = [later - sooner - 1 for sooner, later in pairwise(begins)]
    assert pauses == pytest.approx([0.5 * 2**n for n in range(fails)])


def test_one_failing_key_does_not_hold_up_another() -> None:
    """Pauses are per key."""
    work = Work(fails=3)
    run(work_off(work, [("a", 0, 0), ("b", 5, 0)]))
    assert work.begins("b")[0] == 5


@settings(deadline=None)
@given(st.integers(min_value=1, max_value=1000), st.floats(min_value=0, max_value=1))
def test_a_pause_is_bounded(failures: int, luck: float) -> None:
    """A pause is never longer than the longest, and jitter takes at most its share."""
    pause = Backoff(first=1, longest=60, jitter=0.25, random=lambda: luck).pause(failures)
    assert 0.75 <= pause <= 60


def test_closing_finishes_what_is_in_progress() -> None:
    """When the queue closes, work in progress ends, and nothing that waits begins."""
    work = Work()

    async def scenario() -> float:
        queue = Queue(work)
        running = asyncio.create_task(queue.run(1))
        for key in KEYS:
            queue.add(key)
        await asyncio.sleep(0.5)
        queue.close()
        queue.add("late")
        await running
        return asyncio.get_running_loop().time()

    assert run(scenario()) == 1
    assert dict(work.spans) == {"a": [(0, 1)]}


def test_the_oldest_work_is_known() -> None:
    """A pass that hangs can be seen from outside."""

    async def scenario() -> tuple[float | None, float | None, int]:
        queue = Queue(Work())
        running = asyncio.create_task(queue.run(1))
        before = queue.oldest
        await asyncio.sleep(3)
        queue.add("a")
        queue.add("b")
        await asyncio.sleep(0.5)
        during, depth = queue.oldest, len(queue)
        queue.close()
        await running
        return before, during, depth

    assert run(scenario()) == (None, 3, 1)
