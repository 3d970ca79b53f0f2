"""`modelops jobs`: look at jobs in the queue, and begin again those that were given up."""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final, TypeVar

import typer
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from modelops.jobs.job import Job
from modelops.jobs.queue import Terms
from modelops.jobs.streams import GONE, Streams
from modelops.redis import Address

ANSWER_SECONDS: Final = 5.0
Result = TypeVar("Result")

app = typer.Typer(
    no_args_is_help=True,
    help="Jobs in the queue. Run it where the queue can be reached: `kubectl exec -n "
    "modelops-system deploy/modelops-gateway -c control -- modelops jobs ...`.",
)
Model = Annotated[str, typer.Argument(help="NAMESPACE/NAME of the model.")]
Identity = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.")]
Url = Annotated[
    str,
    typer.Option(
        "--redis", envvar="MODELOPS_GATEWAY_JOBS_REDIS_URL", help="Where the queue of jobs is."
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--redis-folder",
        envvar="MODELOPS_GATEWAY_JOBS_REDIS_FOLDER",
        help="A folder with its password and certificates.",
    ),
]
Most = Annotated[int, typer.Option(min=1, max=10_000, help="No more than so many.")]


@app.command("list")
def list_command(
    tenant: Annotated[str, typer.Argument(help="Whose jobs.")],
    url: Url = "",
    folder: Folder = None,
    most: Most = 20,
) -> None:
    """List a tenant's jobs, latest first."""
    found = _asked(url, folder, lambda queue: queue.list(tenant, "", most))
    table = Table("Job", "Model", "State", "Attempts", "Error", box=None, pad_edge=False)
    for job in found:
        error = job.problem.code if job.problem else ""
        table.add_row(job.order.id, job.order.model, job.state, str(job.attempt), error)
    Console(soft_wrap=True).print(table)


@app.command("dead")
def dead_command(model: Model, url: Url = "", folder: Folder = None, most: Most = 20) -> None:
    """List the jobs of a model that were given up, latest first, and why."""
    found = _asked(url, folder, lambda queue: queue.dead(model, most))
    table = Table("Job", "Tenant", "Attempts", "Error", "Cause", box=None, pad_edge=False)
    for one in found:
        problem = one.problem
        table.add_row(one.id, one.tenant, str(one.attempt), problem.code, problem.message)
    Console(soft_wrap=True).print(table)


@app.command("describe")
def describe_command(job: Identity, url: Url = "", folder: Folder = None) -> None:
    """Print all that is known of a job, as JSON; what its caller asked for is in it."""
    found = _asked(url, folder, lambda queue: queue.get(job))
    typer.echo(json.dumps(asdict(_known(job, found)), indent=2))


@app.command("retry")
def retry_command(job: Identity, url: Url = "", folder: Folder = None) -> None:
    """Begin a job again that failed; its dead letter is taken away.

    Example: modelops jobs retry job_18a7f2c9e5d3b4a6f00dfeed12345678
    """
    if _asked(url, folder, lambda queue: queue.retry(job)):
        typer.echo(f"{job} waits in the queue again")
        return
    found = _known(job, _asked(url, folder, lambda queue: queue.get(job)))
    sys.exit(f"{job} is {found.state}: only a job that failed can be begun again")


def _known(id_: str, job: Job | None) -> Job:
    if job is None:
        sys.exit(f"there is no job {id_}: it was deleted or forgotten, or the id is wrong")
    return job


def _asked(url: str, folder: Path | None, ask: Callable[[Streams], Awaitable[Result]]) -> Result:
    """Ask the queue something; a failure ends the command with its cause."""
    address = Address(url, folder if folder and folder.name else None)
    try:
        address.check()
        return asyncio.run(_connected(address, ask))
    except ValueError as error:
        sys.exit(f"--redis: {error}")
    except (*GONE, RedisError) as error:
        sys.exit(f"the queue of jobs does not answer: {error}")


async def _connected(address: Address, ask: Callable[[Streams], Awaitable[Result]]) -> Result:
    redis = address.client(ANSWER_SECONDS)
    try:
        return await ask(Streams(redis, Terms()))
    finally:
        await redis.aclose()
