"""One attempt at a job: inputs, engine, results."""

import logging
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from modelops.jobs.engine import Done, Failed, Output, Progress, Run
from modelops.jobs.job import Code, Job, Made, Problem, Result
from modelops.jobs.queue import Queue
from modelops.jobs.store import Unavailable
from modelops.worker.engine import Engine
from modelops.worker.inputs import Inputs, Unusable
from modelops.worker.results import Results, forget

TOLD_SECONDS: Final = 0.5
"""Progress is told no more often."""

log = logging.getLogger(__name__)


class Lost(Exception):
    """The job is not this worker's any more."""


class Wrong(Exception):
    """The engine said that it cannot do it."""

    def __init__(self, problem: Problem) -> None:
        """Say why."""
        super().__init__(problem.message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Doing:
    """What it takes to do jobs."""

    queue: Queue
    consumer: str
    engine: Engine
    inputs: Inputs
    results: Results
    scratch: Path

    async def __call__(self, job: Job) -> str:
        """Do a job and tell the queue what came of it; return that in a word."""
        folder = self.scratch / f"{job.order.id}-{job.attempt}"
        try:
            return await self._done(job, folder)
        except Lost:
            return "taken away"
        finally:
            forget(folder)

    async def _done(self, job: Job, folder: Path) -> str:
        try:
            result = await Course(self, job, folder).run()
        except Unusable as error:
            problem = error.problem
        except Unavailable as error:
            problem = Problem(Code.STORAGE, str(error), retriable=True)
        except Wrong as error:
            problem = error.problem
        except (OSError, ValueError) as error:
            log.exception("%s cannot be done", job.order.id)
            problem = Problem(Code.INTERNAL, f"The worker failed: {error}", retriable=True)
        else:
            return await self._finished(job, result)
        state = await self.queue.fail(job, problem)
        log.warning("%s: %s (%s)", job.order.id, problem.message, problem.code)
        return f"failed: {problem.code}" if state else "taken away"

    async def _finished(self, job: Job, result: Result) -> str:
        if not await self.queue.finish(job, result):
            return "taken away"
        try:
            await self.results.clean(job)
        except Unavailable as error:
            log.warning("what %s left stays: %s", job.order.id, error)
        return "succeeded"


@dataclass(slots=True)
class Course:
    """How one attempt goes."""

    doing: Doing
    job: Job
    folder: Path
    made: list[Made] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    told: float = 0.0

    async def run(self) -> Result:
        """Return what was made; raises Unusable, Wrong, Unavailable, Lost."""
        self.folder.mkdir(parents=True, exist_ok=True)
        order = self.job.order
        files = {
            role: str(await self.doing.inputs.fetch(role, source, self.folder))
            for role, source in order.files.items()
        }
        if self.job.resume:
            await self.doing.results.restore(self.job, self.folder)
        run = Run(
            id=order.id,
            attempt=self.job.attempt,
            operation=order.operation,
            input=order.input,
            output=f"{self.folder}/",
            files=files,
            resume=self.job.resume or None,
        )
        return await self._follow(run)

    async def _follow(self, run: Run) -> Result:
        async with aclosing(self.doing.engine.run(run)) as told:
            async for event in told:
                match event:
                    case Progress():
                        await self._progress(event)
                    case Output():
                        await self._keep(event)
                    case Failed():
                        raise Wrong(Problem(event.code, event.message, event.retriable))
                    case Done():
                        return Result(tuple(self.made), event.seconds)
        raise Wrong(Problem(Code.ENGINE_LOST, "The engine stopped telling.", retriable=True))

    async def _progress(self, event: Progress) -> None:
        resume = ""
        if event.percent == 100:
            results = self.doing.results
            resume = await results.checkpoint(self.job, event.stage, self.folder, self.outputs)
        elif time.monotonic() - self.told < TOLD_SECONDS:
            return
        self.told = time.monotonic()
        queue, consumer = self.doing.queue, self.doing.consumer
        if not await queue.progress(self.job, consumer, event.stage, event.percent, resume):
            raise Lost

    async def _keep(self, event: Output) -> None:
        self.outputs.append(event.path)
        self.made.append(await self.doing.results.keep(self.job, event, self.folder))
