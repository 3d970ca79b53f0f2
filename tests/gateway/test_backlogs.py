"""Jobs in a real Redis lead to replicas: counted once, at once, and never less for silence."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.pod import Pod, eventually, pods
from gateway.redisd import Server, server
from modelops.api.base import API_VERSION
from modelops.cluster import Invalid
from modelops.gateway.activator.waker import Waker
from modelops.gateway.demand.alarm import Alarm
from modelops.gateway.demand.backlogs import STALE_SECONDS
from modelops.gateway.observed import model as modelled
from modelops.gateway.snapshot import Endpoint, Model, Scale
from modelops.jobs.job import Job, Order, Result
from modelops.jobs.queue import Terms
from modelops.jobs.streams import Streams, identity
from modelops.redis import Address
from modelops.scaling.policy import Pace, Policy, Targets
from modelops.sync.observed import Ref

NAME = "team/painter"
POLICY = Policy(0, 9, Targets(queue_seconds=30), idle_after_seconds=1, down=Pace(0))
PAINTER = Model(
    "painter", "team", "painter", 1, policy=POLICY, asked=0, kind="DiffusionModel", jobs=True,
    scale=Scale(0, 9, 0),
)  # fmt: skip


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    """A Redis that keeps what it is told."""
    with server(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as made:
        yield made


def order(seconds: float = 10, **fields: Any) -> Order:
    """Return an order of so much work."""
    asked = {"id": identity(), "model": NAME, "tenant": "a", "operation": "images.generate"}
    return Order(**(asked | {"input": {}, "seconds": seconds} | fields))


@asynccontextmanager
async def queue(redis: Server) -> AsyncIterator[Streams]:
    """Give the queue, as job API and workers have it."""
    async with Redis.from_url(redis.url) as client:
        yield Streams(client, Terms(lease=600), patient=True)


@asynccontextmanager
async def platform(
    redis: Server, count: int = 1, *models: Model
) -> AsyncIterator[tuple[Streams, list[Pod]]]:
    """Give the queue, and gateway pods that decide by it."""
    where = Address(redis.url)
    async with queue(redis) as jobs, pods(count, *(models or (PAINTER,)), queue=where) as made:
        yield jobs, made


def told(pod: Pod, name: str = NAME) -> tuple[int, str] | None:
    """Return what a pod decided last: how many replicas, and by what."""
    entry = pod.demand.book.entries.get(name)
    return (entry.decision.replicas, entry.decision.metric) if entry else None


def said(pod: Pod) -> str:
    """Return the sentence of what a pod decided last."""
    entry = pod.demand.book.entries.get(NAME)
    return entry.decision.sentence if entry else ""


async def took(jobs: Streams, consumer: str) -> Job:
    """Take a job that must be there."""
    job = await jobs.take(NAME, consumer, 0)
    assert job
    return job


def test_jobs_count_once_however_many_pods_see_them(redis: Server) -> None:
    """Each pod reads the whole queue: two pods decide the same as one would."""

    async def story() -> None:
        async with platform(redis, 2) as (jobs, made):
            for pod in made:
                await eventually(lambda pod=pod: told(pod) == (0, "idle"))
            for _ in range(9):
                await jobs.submit(order())
            for pod in made:
                await eventually(lambda pod=pod: "9 jobs wait, 90 s of work" in said(pod))
                assert told(pod) == (3, "queueSeconds")

    asyncio.run(story())


def test_a_job_that_comes_is_decided_about_at_once(redis: Server) -> None:
    """Whichever pod took it, every pod hears of it, and does not wait for its next round."""

    async def story() -> None:
        async with platform(redis, 2) as (jobs, made):
            for pod in made:
                await eventually(lambda pod=pod: told(pod) == (0, "idle"))
                pod.demand.backlogs.seconds = 3600
            # A round that had begun knew of the old pace only; the next one is an hour away.
            reads = [dict(pod.demand.backlogs.told) for pod in made]
            for pod, read in zip(made, reads, strict=True):
                await eventually(lambda pod=pod, read=read: pod.demand.backlogs.told != read)
            await jobs.submit(order())
            for pod in made:
                await eventually(lambda pod=pod: told(pod) == (1, "held"))

    asyncio.run(story())


def test_what_works_stays_and_what_rests_goes(redis: Server) -> None:
    """A replica with a job is kept however little is left; when all is done, none is."""

    async def story() -> None:
        awake = replace(PAINTER, asked=3)
        async with platform(redis, 1, awake) as (jobs, (pod,)):
            for _ in range(3):
                await jobs.submit(order(0.1))
            running = [await took(jobs, f"pod-{n}") for n in range(3)]
            await eventually(lambda: told(pod) == (3, "busy"))
            pod.knows(replace(awake, policy=replace(POLICY, idle_after_seconds=2)))
            await asyncio.sleep(2.5)  # longer than the model has to be idle
            assert told(pod) == (3, "busy")
            for job in running[1:]:
                await jobs.finish(job, Result((), 1))
            await eventually(lambda: told(pod) == (1, "busy"))
            await jobs.finish(running[0], Result((), 1))
            await eventually(lambda: told(pod) == (0, "idle"))

    asyncio.run(story())


def test_a_queue_that_is_away_takes_no_replica(redis: Server) -> None:
    """What there is stays until it answers again, and the decision says why."""

    async def story() -> None:
        async with platform(redis, 1, replace(PAINTER, asked=2)) as (jobs, (pod,)):
            asked = [order(25), order(25)]
            for each in asked:
                await jobs.submit(each)
            await eventually(lambda: told(pod) == (2, "queueSeconds"))
            redis.stop()
            await eventually(lambda: told(pod) == (2, "missing"), STALE_SECONDS + 20)
            sentence = pod.demand.book.entries[NAME].decision.sentence
            assert sentence == "2 replicas as before: the queue of jobs did not answer"
            await asyncio.sleep(2)  # longer than the model has to be idle
            assert told(pod) == (2, "missing")
            redis.start()
            await eventually(lambda: told(pod) == (2, "queueSeconds"))
            for each in asked:
                await jobs.cancel(each.id)
            await eventually(lambda: told(pod) == (0, "idle"))

    asyncio.run(story())


def test_without_a_queue_nothing_is_known() -> None:
    """A platform that has no store for jobs leaves their models' replicas as they are."""

    async def story() -> None:
        async with pods(1, replace(PAINTER, asked=1)) as (pod,):
            await eventually(lambda: told(pod) == (1, "missing"))

    asyncio.run(story())


def test_nonsense_in_the_queue_is_no_answer(redis: Server) -> None:
    """A key of another type leaves what there is; models are read together, so they all wait."""

    async def story() -> None:
        async with platform(redis, 1, replace(PAINTER, asked=2)) as (jobs, (pod,)):
            await eventually(lambda: told(pod) is not None)
            async with Redis.from_url(redis.url) as client:
                await client.set(f"jobs:{{{NAME}}}:high:waiting", "x")
                await eventually(lambda: told(pod) == (2, "missing"), STALE_SECONDS + 20)
                await client.delete(f"jobs:{{{NAME}}}:high:waiting")
            for _ in range(2):
                await jobs.submit(order(25))
            await eventually(lambda: told(pod) == (2, "queueSeconds"))

    asyncio.run(story())


def test_a_replica_bears_as_many_seconds_as_jobs_go_together() -> None:
    """What the worker feeds its engine at a time is what the object says, or the kind's default."""
    meta = {"name": "painter", "namespace": "team", "creationTimestamp": "2026-01-01T00:00:00Z"}
    spec: dict[str, Any] = {"model": {"uri": "pvc://pictures/sd15"}}
    manifest = {"kind": "DiffusionModel", "metadata": meta, "spec": spec}
    assert modelled(manifest).capacity == 4
    spec["image"] = {"batching": {"maxImages": 7}}
    assert modelled(manifest).capacity == 7
    spec["image"] = {"of_a_later_version": 1}
    assert modelled(manifest).capacity is None


class Asked:
    """A cluster whose models are scaled by nobody else; it keeps what it is asked for."""

    def __init__(self) -> None:
        """Be asked for nothing."""
        self.asks: list[tuple[str, int]] = []

    async def scale(self, ref: Ref, expected: int | None, replicas: int, manager: str) -> None:
        """Take an ask, once."""
        assert (expected, manager) == (0, "modelops-activator")
        if self.asks:
            raise Invalid("somebody else has asked")
        self.asks.append((f"{ref.kind} {ref.namespace}/{ref.name} {ref.api_version}", replicas))


def test_a_job_wakes_its_model_by_every_pod_and_once(redis: Server) -> None:
    """All pods ask for the first replica; who comes second changes nothing, and both leave off."""

    async def story() -> None:
        cluster, known = Asked(), {PAINTER.cluster: PAINTER}
        waker = Waker(cluster, lambda _: None)  # type: ignore[arg-type]
        async with platform(redis, 2) as (jobs, made):
            alarms = [Alarm(waker, lambda _: known) for _ in made]
            for pod, alarm in zip(made, alarms, strict=True):
                pod.demand.wake = alarm.ring
                await eventually(lambda pod=pod: told(pod) == (0, "idle"))
            assert not any(alarm.ringing for alarm in alarms)
            await jobs.submit(order())
            await eventually(lambda: all(alarm.ringing for alarm in alarms))
            await eventually(lambda: cluster.asks)
            await asyncio.sleep(2.5)  # some rounds: they do not leave off before there is one
            assert all(alarm.ringing for alarm in alarms)
            assert cluster.asks == [(f"DiffusionModel team/painter {API_VERSION}", 1)]
            there = replace(PAINTER, asked=1, endpoints=(Endpoint("198.18.0.9", 8000),))
            known[PAINTER.cluster] = there
            for pod in made:
                pod.knows(there)
            await eventually(lambda: not any(alarm.ringing for alarm in alarms))

    asyncio.run(story())


def test_a_pod_that_is_alone_follows_a_queue_that_comes_later(tmp_path: Path) -> None:
    """A gateway that starts before its Redis knows nothing, and all once that is there."""

    async def story() -> None:
        with server(tmp_path) as made:
            made.stop()
            async with platform(made, 1, replace(PAINTER, asked=1)) as (jobs, (pod,)):
                await eventually(lambda: told(pod) == (1, "missing"))
                made.start()
                for _ in range(4):
                    await jobs.submit(order(25))
                await eventually(lambda: told(pod) == (4, "queueSeconds"))

    asyncio.run(story())
