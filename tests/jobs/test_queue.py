"""The laws of the queue, on a real Redis with an append-only file."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.redisd import Server
from modelops.jobs.engine import Limits
from modelops.jobs.job import Job, Made, Order, Problem, Result, State
from modelops.jobs.names import COME, USAGE, dead, stream
from modelops.jobs.queue import Backlog, Conflict, Refused, Terms
from modelops.jobs.streams import SCRIPT, Streams, identity

MODEL = "team/painter"
RESULT = Result((Made("s3://jobs/0.png", "image/png", 9),), 1.5)
TERMS = Terms(lease=600, pause=0)

Story = Callable[[Streams, Redis], Awaitable[None]]


def order(tenant: str = "a", **fields: Any) -> Order:
    """Return an order of a tenant."""
    asked = {"id": identity(), "model": MODEL, "operation": "images.generate", "input": {"n": 1}}
    return Order(**(asked | {"tenant": tenant} | fields))


def play(server: Server, terms: Terms, story: Story) -> None:
    """Run a story on an empty Redis."""

    async def whole() -> None:
        async with Redis.from_url(server.url) as redis:
            await redis.flushall()
            await story(Streams(redis, terms), redis)

    asyncio.run(whole())


async def lose(redis: Redis, job: Job) -> None:
    """Let all time pass that the job's worker has to say that it lives."""
    name = stream(job.order.model, job.order.lane)
    ticket = await redis.hget(f"jobs:job:{job.order.id}", "ticket")
    await redis.xclaim(name, "workers", "gone", 0, [ticket], idle=10**7, justid=True)
    await redis.delete(f"{name}:reaped")
    run = (await redis.info("server"))["run_id"]
    await redis.set(f"jobs:up:{run}", 0)


async def took(queue: Streams, consumer: str = "w") -> Job:
    """Take a job that must be there."""
    job = await queue.take(MODEL, consumer, 0)
    assert job
    return job


def test_a_job_goes_through_the_queue(shared: Server) -> None:
    """What was asked for comes to a worker as it was, and its result back; it is billed once."""

    async def story(queue: Streams, redis: Redis) -> None:
        asked = order(webhook="https://example.com/x", key="k", asked="painter")
        await queue.submit(asked)
        job = await took(queue)
        assert job.order == asked
        assert (job.state, job.attempt) == (State.RUNNING, 1)
        assert await queue.progress(job, "w", "denoise", 40)
        seen = await queue.get(asked.id)
        assert seen
        assert (seen.stage, seen.percent) == ("denoise", 40)
        assert await queue.finish(job, RESULT)
        assert await queue.finish(job, RESULT), "an answer that was lost is given again"
        ended = await queue.get(asked.id)
        assert ended
        assert (ended.state, ended.result, ended.percent) == (State.SUCCEEDED, RESULT, 100)
        bills = await redis.xrange(USAGE)
        assert [bill[1][b"id"].decode() for bill in bills] == [asked.id]
        assert await queue.due(10, 5) == [asked.id]
        assert await queue.due(10, 5) == [], "it is lent"

    play(shared, TERMS, story)


def test_an_attempt_that_was_lost_may_tell_nothing(shared: Server) -> None:
    """After its lease a job is another's; the first worker's result, failure and beat count not."""

    async def story(queue: Streams, redis: Redis) -> None:
        await queue.submit(order())
        first = await took(queue, "one")
        await lose(redis, first)
        second = await took(queue, "two")
        assert (second.order.id, second.attempt, second.failures) == (first.order.id, 2, 1)
        assert second.problem
        assert second.problem.code == "worker_lost"
        assert not await queue.beat(first, "one")
        assert not await queue.finish(first, RESULT)
        assert await queue.fail(first, Problem("internal", "no", retriable=True)) is None
        assert not await queue.release(first)
        assert await queue.finish(second, RESULT)
        assert await redis.xlen(USAGE) == 1

    play(shared, TERMS, story)


def test_a_worker_that_beats_keeps_its_job(shared: Server) -> None:
    """However long it takes: nobody else is given a job whose worker lives."""

    async def story(queue: Streams, redis: Redis) -> None:
        await queue.submit(order())
        job = await took(queue)
        for _ in range(3):
            await lose(redis, job)
            assert await queue.beat(job, "w")
            assert await queue.take(MODEL, "other", 0) is None
        assert await queue.finish(job, RESULT)

    play(shared, TERMS, story)


def test_a_redis_that_was_away_takes_no_job_from_its_worker(redis: Server) -> None:
    """After a restart workers have the time of a lease to say that they live."""

    async def story(queue: Streams, client: Redis) -> None:
        await queue.submit(order())
        job = await took(queue)
        await lose(client, job)
        redis.stop()
        redis.start()
        queue = Streams(client, TERMS, patient=True)
        assert await queue.take(MODEL, "other", 0) is None
        assert await queue.beat(job, "w")

    play(redis, TERMS, story)


def test_a_job_that_fails_too_often_is_given_up(shared: Server) -> None:
    """Three times it is tried; then it is failed, and the dead letter has the cause."""

    async def story(queue: Streams, redis: Redis) -> None:
        await queue.submit(order())
        problem = Problem("out_of_memory", "no memory", retriable=True)
        states = [await queue.fail(await took(queue), problem) for _ in range(3)]
        assert states == [State.QUEUED, State.QUEUED, State.FAILED]
        letters = await redis.xrange(dead(MODEL))
        assert b"out_of_memory" in letters[0][1][b"problem"]
        assert await queue.take(MODEL, "w", 0) is None
        assert await redis.xlen(USAGE) == 0

    play(shared, TERMS, story)


def test_a_job_that_was_given_up_is_begun_again(shared: Server) -> None:
    """Once, however often it is said, with all its tries, and billed once; its letter goes."""

    async def story(queue: Streams, redis: Redis) -> None:
        kept, asked = order(), order()
        problem = Problem("out_of_memory", "no memory", retriable=True)
        for each in (kept, asked):
            await queue.submit(each)
            for _ in range(3):
                await queue.fail(await took(queue), problem)
        letters = await queue.dead(MODEL, 10)
        assert [(x.id, x.attempt) for x in letters] == [(asked.id, 3), (kept.id, 3)]
        assert [await queue.retry(asked.id) for _ in range(2)] == [True, False]
        assert [x.id for x in await queue.dead(MODEL, 10)] == [kept.id]
        assert await redis.ttl(f"jobs:job:{asked.id}") == -1
        assert (await queue.stats(MODEL)).lanes["normal"].waiting == 1
        again = await took(queue)
        assert (again.order.id, again.attempt, again.failures) == (asked.id, 4, 0)
        assert await queue.finish(again, RESULT)
        assert (await queue.retry(asked.id), await redis.xlen(USAGE)) == (False, 1)
        assert not await queue.retry("job_of_nobody")

    play(shared, TERMS, story)


def test_what_cannot_go_better_is_not_tried_again(shared: Server) -> None:
    """A caller's mistake fails at once, and is no dead letter."""

    async def story(queue: Streams, redis: Redis) -> None:
        await queue.submit(order())
        assert await queue.fail(await took(queue), Problem("unsafe", "no")) is State.FAILED
        assert await redis.xlen(dead(MODEL)) == 0

    play(shared, TERMS, story)


def test_a_retry_waits(shared: Server) -> None:
    """A job that failed is not taken before its pause is over; then it is, without a word."""

    async def story(queue: Streams, _: Redis) -> None:
        await queue.submit(order())
        await queue.fail(await took(queue), Problem("internal", "no", retriable=True))
        assert await queue.take(MODEL, "w", 0) is None
        assert (await queue.stats(MODEL)).lanes["normal"].delayed == 1
        assert await queue.take(MODEL, "w", 30)

    play(shared, Terms(lease=600, pause=0.3), story)


def test_one_tenant_does_not_stop_another(shared: Server) -> None:
    """A thousand jobs of one tenant are before at most one of another that comes after them."""

    async def story(queue: Streams, _: Redis) -> None:
        for _ in range(1000):
            await queue.submit(order("many"))
        await took(queue)
        late = order("one")
        await queue.submit(late)
        place = await queue.place(late.id)
        assert place
        assert place.before <= 1
        taken = [(await took(queue)).order.tenant for _ in range(3)]
        assert "one" in taken[:2]

    play(shared, TERMS, story)


def test_lanes_are_served_in_their_order(shared: Server) -> None:
    """A job of a higher priority is before all of a lower one."""

    async def story(queue: Streams, _: Redis) -> None:
        for lane in ("low", "normal", "high"):
            await queue.submit(order(lane=lane))
        assert [(await took(queue)).order.lane for _ in range(3)] == ["high", "normal", "low"]

    play(shared, TERMS, story)


def test_a_tenant_has_so_many_jobs_at_most(shared: Server) -> None:
    """A job too many is refused, and taken once one has ended."""

    async def story(queue: Streams, _: Redis) -> None:
        await queue.submit(order())
        await queue.submit(order())
        with pytest.raises(Refused, match="quota"):
            await queue.submit(order())
        await queue.submit(order("b"))
        await queue.finish(await took(queue), RESULT)
        await queue.submit(order())

    play(shared, Terms(quota=2, pause=0), story)


def test_a_wait_that_is_too_long_is_not_promised(shared: Server) -> None:
    """Whoever would wait too long is told when to come again; others may be in time."""

    async def story(queue: Streams, _: Redis) -> None:
        for _ in range(4):
            await queue.submit(order("many", seconds=10))
        with pytest.raises(Refused, match="busy") as refusal:
            await queue.submit(order("many", seconds=10))
        assert refusal.value.seconds == pytest.approx(10, abs=1)
        assert (await queue.submit(order("few", seconds=10))).new

    play(shared, Terms(longest=30), story)


def test_the_same_word_asks_for_the_same_job(shared: Server) -> None:
    """An idempotency key gives the job that it gave before, of this tenant; never another's."""

    async def story(queue: Streams, _: Redis) -> None:
        first = await queue.submit(order(), once="x", alike="1")
        again = await queue.submit(order(), once="x", alike="1")
        assert (again.id, again.new) == (first.id, False)
        with pytest.raises(Conflict):
            await queue.submit(order(), once="x", alike="2")
        assert (await queue.submit(order("b"), once="x", alike="2")).new

    play(shared, TERMS, story)


def test_a_job_can_be_cancelled_in_each_state(shared: Server) -> None:
    """Nobody is given it, a worker that has it is told, and what has ended stays as it is."""

    async def story(queue: Streams, redis: Redis) -> None:
        waiting, runs, retried = order(), order(), order()
        await queue.submit(runs)
        job = await took(queue)
        await queue.submit(retried)
        await queue.fail(await took(queue), Problem("internal", "no", retriable=True))
        await queue.submit(waiting)
        for each in (waiting, runs, retried):
            assert await queue.cancel(each.id) is State.CANCELLED
        assert not await queue.beat(job, "w")
        assert not await queue.finish(job, RESULT)
        assert await queue.take(MODEL, "w", 0) is None
        assert await redis.xlen(stream(MODEL, "normal")) == 0, "nothing is left behind"
        assert await queue.cancel("job_unknown") is None
        assert await queue.delete(runs.id)
        assert [job.order.id for job in await queue.list("a", "", 9)] == [waiting.id, retried.id]

    play(shared, Terms(lease=600, pause=60), story)


def test_what_an_engine_takes_is_forgotten_with_it(shared: Server) -> None:
    """Limits are those that were said last, and none when nobody says them any more."""

    async def story(queue: Streams, redis: Redis) -> None:
        assert await queue.limits(MODEL) == Limits()
        await queue.describe(MODEL, Limits(max_width=64))
        await queue.describe(MODEL, Limits(max_width=128, max_steps=9))
        assert await queue.limits(MODEL) == Limits(max_width=128, max_steps=9)
        assert await queue.limits("team/other") == Limits()
        (key,) = await redis.keys("jobs:*:limits")
        assert 0 < await redis.pttl(key) <= 3 * 600_000

    play(shared, TERMS, story)


def test_an_answer_that_was_lost_costs_no_attempt(shared: Server) -> None:
    """A worker that asks again with the same word is given the same job, not the next."""

    async def story(queue: Streams, redis: Redis) -> None:
        await queue.submit(order())
        await queue.submit(order())
        script = redis.register_script(SCRIPT)
        told = ("take", MODEL, "w", "word", 1000, 3, 0, 1000)
        first = await script(keys=[told[0]], args=told[1:])
        assert (await script(keys=[told[0]], args=told[1:]))[0] == first[0]
        assert (await queue.stats(MODEL)).lanes["normal"].running == 1

    play(shared, TERMS, story)


def test_a_list_is_of_one_tenant_latest_first(shared: Server) -> None:
    """Nobody sees another's jobs, and pages join without a gap."""

    async def story(queue: Streams, _: Redis) -> None:
        mine = [order() for _ in range(5)]
        for each in mine:
            await queue.submit(each)
        await queue.submit(order("b"))
        latest = [each.id for each in reversed(mine)]
        page = [job.order.id for job in await queue.list("a", "", 3)]
        rest = [job.order.id for job in await queue.list("a", page[-1], 3)]
        assert page + rest == latest

    play(shared, TERMS, story)


def test_what_there_is_to_do_is_counted(shared: Server) -> None:
    """Jobs that wait, wait for a retry and run; their work at the pace learnt; who is busy."""

    async def story(queue: Streams, redis: Redis) -> None:
        assert await queue.backlogs([]) == []
        assert await queue.backlogs([MODEL]) == [Backlog(0, 0, 0, 0.0)]
        for seconds, lane in ((4.0, "low"), (6.0, "high"), (8.0, "normal")):
            await queue.submit(order(seconds=seconds, lane=lane))
        await redis.set(f"jobs:{{{MODEL}}}:pace", "2")
        assert await queue.backlogs([MODEL]) == [Backlog(3, 0, 3, 36.0)]
        high = await took(queue, "one")
        normal = await took(queue, "two")
        working = Backlog(1, 2, 3, 2 * (4 + (6 + 8) / 2), frozenset({"one", "two"}))
        assert await queue.backlogs(["team/other", MODEL]) == [Backlog(0, 0, 0, 0.0), working]
        await queue.fail(high, Problem("internal", "no", retriable=True))
        (retried,) = await Streams(redis, Terms(pause=60)).backlogs([MODEL])
        assert (retried.waiting, retried.running, retried.busy) == (2, 1, {"two"})
        assert retried.seconds == 2 * (4 + 6 + 8 / 2)
        await queue.finish(normal, RESULT)
        low = await took(queue, "two")
        await queue.cancel((await took(queue, "two")).order.id)
        await queue.cancel(low.order.id)
        (ended,) = await queue.backlogs([MODEL])
        assert (ended.waiting, ended.running, ended.submitted) == (0, 0, 3)
        assert (ended.seconds, ended.busy) == (0.0, frozenset())

    play(shared, TERMS, story)


def test_everybody_hears_of_a_job_that_comes(shared: Server) -> None:
    """The queue tells at once of which model one was taken; the same one again is no news."""

    async def story(queue: Streams, redis: Redis) -> None:
        async with redis.pubsub() as heard:
            await heard.subscribe(COME)
            assert (await heard.get_message(timeout=10) or {})["type"] == "subscribe"
            asked = order()
            for each in (asked, asked, order(model="team/other")):
                await queue.submit(each)
            said = [await heard.get_message(timeout=10) or {} for _ in range(2)]
            assert [each["data"].decode() for each in said] == [MODEL, "team/other"]

    play(shared, TERMS, story)
