"""Laws of `modelops jobs`, on a real Redis."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis
from typer.testing import CliRunner

from gateway.redisd import Server, server
from jobs.test_queue import MODEL, TERMS, order, took
from modelops.cli.app import app
from modelops.jobs.job import Problem
from modelops.jobs.streams import Streams


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    """A Redis with nothing in it."""
    with server(tmp_path) as made:
        yield made


def given_up(redis: Server) -> str:
    """Have a job that was given up; return its id."""

    async def whole() -> str:
        async with Redis.from_url(redis.url) as client:
            queue, asked = Streams(client, TERMS), order(tenant="acme")
            await queue.submit(asked)
            for _ in range(3):
                problem = Problem("engine_lost", "it went away", retriable=True)
                await queue.fail(await took(queue), problem)
            return asked.id

    return asyncio.run(whole())


def said(redis: Server, *words: str, code: int = 0) -> str:
    """Return what the command says."""
    environment = {"MODELOPS_GATEWAY_JOBS_REDIS_URL": redis.url, "COLUMNS": "200"}
    result = CliRunner().invoke(app, ["jobs", *words], env=environment)
    assert result.exit_code == code, result.output
    return result.output


def test_a_job_that_was_given_up_is_found_and_begun_again(redis: Server) -> None:
    """It is told with its cause, in each list, until it is begun again, which goes once."""
    id_ = given_up(redis)
    letters = said(redis, "dead", MODEL)
    assert id_ in letters
    assert "it went away" in letters
    assert "failed" in said(redis, "list", "acme")
    assert json.loads(said(redis, "describe", id_))["failures"] == 3
    assert "waits" in said(redis, "retry", id_)
    assert id_ not in said(redis, "dead", MODEL)
    assert "is queued" in said(redis, "retry", id_, code=1)


def test_what_cannot_be_is_told(redis: Server) -> None:
    """A job that nobody knows, an address that is none, and a Redis that is away end it."""
    assert "no job job_x" in said(redis, "describe", "job_x", code=1)
    assert "no job job_x" in said(redis, "retry", "job_x", code=1)
    assert "not a URL of Redis" in said(redis, "dead", MODEL, "--redis", "nonsense", code=1)
    away = said(redis, "dead", MODEL, "--redis", "redis://127.0.0.1:1/0", code=1)
    assert "does not answer" in away
