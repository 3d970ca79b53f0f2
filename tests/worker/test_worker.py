"""Workers as processes, with a fake engine, a real Redis and a real S3 server."""

import asyncio
import signal
from typing import Any

import pytest
from botocore.session import get_session
from redis.asyncio import Redis

from jobs.test_queue import order
from modelops.jobs.job import Code, State
from modelops.jobs.names import USAGE, dead, stream
from modelops.jobs.store import Bucket, Store
from worker.conftest import Site, eventually, stop, until
from worker.fake_engine import png


def asked(prompt: str = "", **fields: Any) -> Any:
    """Return an order whose prompt tells the fake engine what to do."""
    files = fields.pop("files", {})
    return order(input={"prompt": prompt, **fields}, files=files)


async def running(site: Site, count: int = 1) -> None:
    """Wait until the engine was asked so often."""

    async def ran() -> bool:
        return len(site.runs) >= count

    await eventually(ran)


@pytest.fixture(autouse=True)
def _nothing_ran(site: Site) -> None:
    (site.folder / "runs").unlink(missing_ok=True)


def test_results_are_in_the_store(site: Site) -> None:
    """Each file that an engine made is there whole, also one that goes up in parts."""

    async def clean() -> bool:
        return not list((site.folder / "scratch").iterdir())

    async def story() -> None:
        async with site.queue() as queue:
            one = asked(n=2, bytes=9 * 1024 * 1024)
            await queue.submit(one)
            with site.worker():
                job = await until(queue, one.id, State.SUCCEEDED)
                await eventually(clean)
            assert job.result
            assert [made.seed for made in job.result.files] == [0, 1]
            for made in job.result.files:
                file = site.bucket / made.place.removeprefix("s3://jobs/")
                assert file.stat().st_size == made.bytes == len(png()) + 9 * 1024 * 1024

    asyncio.run(story())


def test_a_killed_worker_s_job_goes_on_where_it_was(site: Site) -> None:
    """After SIGKILL another worker begins after the last stage that was finished."""

    async def forgotten() -> bool:
        return not list(site.bucket.glob("*/stages/*/*"))

    async def story() -> None:
        async with site.queue() as queue:
            one = asked("stages", later=30)
            await queue.submit(one)
            with site.worker("one") as process:
                await running(site)

                async def resumable() -> bool:
                    job = await queue.get(one.id)
                    return bool(job and job.resume)

                await eventually(resumable)
                process.send_signal(signal.SIGKILL)
                process.wait()
            with site.worker("two", SCRATCH=str(site.folder / "elsewhere")):
                job = await until(queue, one.id, State.SUCCEEDED)
                await eventually(forgotten)
            assert [run[1:] for run in site.runs] == [["1", "None"], ["2", "denoise"]]
            assert job.failures == 1

    asyncio.run(story())


def test_a_worker_that_must_go_finishes_what_it_can(site: Site) -> None:
    """On SIGTERM a job that ends within the grace is done, and no other is taken."""

    async def story() -> None:
        async with site.queue() as queue:
            first, second = asked(seconds=1.5), asked()
            await queue.submit(first)
            await queue.submit(second)
            with site.worker(GRACE_SECONDS="30") as process:
                await running(site)
                assert await asyncio.to_thread(stop, process) == 0
            await until(queue, first.id, State.SUCCEEDED)
            await until(queue, second.id, State.QUEUED)

    asyncio.run(story())


def test_a_worker_that_must_go_gives_back_what_it_cannot_finish(site: Site) -> None:
    """What would take longer waits at once for another worker, and no failure is counted."""

    async def story() -> None:
        async with site.queue() as queue:
            one = asked(seconds=600)
            await queue.submit(one)
            with site.worker(GRACE_SECONDS="0.1") as process:
                await running(site)
                assert await asyncio.to_thread(stop, process) == 0
            job = await until(queue, one.id, State.QUEUED)
            assert (job.failures, job.attempt) == (0, 1)
            assert await queue.take(one.model, "two", 0)

    asyncio.run(story())


def test_a_cancelled_job_is_stopped(site: Site) -> None:
    """A worker leaves a job that its caller no longer wants, and takes the next."""

    async def story() -> None:
        async with site.queue() as queue:
            one, other = asked(seconds=600), asked()
            await queue.submit(one)
            with site.worker():
                await running(site)
                await queue.cancel(one.id)
                await queue.submit(other)
                await until(queue, other.id, State.SUCCEEDED)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("prompt", "code", "tries"),
    [
        ("out_of_memory", Code.OUT_OF_MEMORY, 3),
        ("poison", Code.ENGINE_LOST, 3),
        ("unsafe", Code.UNSAFE, 1),
        ("invalid_input", Code.INVALID_INPUT, 1),
    ],
)
def test_what_engines_cannot_do_is_told(site: Site, prompt: str, code: str, tries: int) -> None:
    """What may go better is tried three times and then a dead letter; the rest fails at once."""

    async def story() -> None:
        async with site.queue() as queue:
            one = asked(prompt)
            await queue.submit(one)
            with site.worker():
                job = await until(queue, one.id, State.FAILED)
            assert job.problem
            assert job.problem.code == code
            assert len(site.runs) == tries
            assert (await queue.stats(one.model)).dead == (1 if tries == 3 else 0)

    asyncio.run(story())


def test_a_store_that_is_away_is_waited_for(site: Site) -> None:
    """A job whose results cannot be stored is not done anew when the store is back soon."""

    async def story() -> None:
        async with site.queue() as queue:
            hidden = site.bucket.rename(site.folder / "hidden")
            one = asked()
            await queue.submit(one)
            with site.worker():
                await running(site)
                await asyncio.sleep(1)
                hidden.rename(site.bucket)
                job = await until(queue, one.id, State.SUCCEEDED)
            assert job.attempt == 1

    asyncio.run(story())


def test_a_store_that_is_killed_in_an_upload_loses_and_bills_nothing(site: Site) -> None:
    """A large result goes up again when the server is back: once made, once billed, whole."""
    size = 160 * 1024 * 1024

    async def uploading() -> bool:
        return bool(list(site.bucket.rglob(".sgwtmp/multipart/*/*/*")))

    async def story() -> None:
        async with site.queue() as queue:
            one = asked(bytes=size)
            await queue.submit(one)
            with site.worker():
                await eventually(uploading)
                site.s3.stop(signal.SIGKILL)
                found = await queue.get(one.id)
                assert found
                assert found.state is State.RUNNING, "the upload ended before the server did"
                site.s3.start()
                job = await until(queue, one.id, State.SUCCEEDED)
            assert job.attempt == 1
            assert job.result
            (made,) = job.result.files
            file = site.bucket / made.place.removeprefix("s3://jobs/")
            assert file.stat().st_size == made.bytes == len(png()) + size
        async with Redis.from_url(site.redis.url) as redis:
            assert await redis.xlen(USAGE) == 1
        file.unlink()

    asyncio.run(story())


def test_a_deleted_job_leaves_no_upload_behind(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that a killed worker had sent go with the job; those of other jobs stay."""
    for name, value in site.s3.environment.items():
        monkeypatch.setenv(name, value)
    store = Store(Bucket("jobs", site.s3.url))
    client = get_session().create_client("s3", "us-east-1", endpoint_url=site.s3.url)
    for key in ("job_1/1-0.png", "job_2/1-0.png"):
        begun = client.create_multipart_upload(Bucket="jobs", Key=key)
        where = {"Bucket": "jobs", "Key": key, "UploadId": begun["UploadId"]}
        client.upload_part(**where, PartNumber=1, Body=b"part")
    store.remove("job_1/")
    left = client.list_multipart_uploads(Bucket="jobs").get("Uploads", ())
    assert [each["Key"] for each in left] == ["job_2/1-0.png"]
    store.remove("job_2/")


def test_inputs_come_from_the_store_or_from_outside(site: Site) -> None:
    """A caller's file reaches the engine; one that stands on this machine is refused unseen."""

    async def story() -> None:
        async with site.queue() as queue:
            (site.bucket / "given.png").write_bytes(png(4, 4))
            (site.bucket / "text.png").write_bytes(b"#!/bin/sh\n" * 10)
            good = asked(files={"image": "s3://jobs/given.png"})
            text = asked(files={"image": "s3://jobs/text.png"})
            inside = asked(files={"image": f"{site.s3.url}/jobs/given.png"})
            for each in (good, text, inside):
                await queue.submit(each)
            with site.worker():
                await until(queue, good.id, State.SUCCEEDED)
                for each in (text, inside):
                    job = await until(queue, each.id, State.FAILED)
                    assert job.problem
                    assert job.problem.code == Code.INPUT_REFUSED
            assert len(site.runs) == 1, "no engine is asked for what cannot be done"

    asyncio.run(story())


def test_names_of_streams_are_what_scaling_looks_at() -> None:
    """Streams are named by namespace, name and priority."""
    assert stream("team/painter", "normal") == "jobs:{team/painter}:normal"
    assert dead("team/painter") == "jobs:{team/painter}:dead"
