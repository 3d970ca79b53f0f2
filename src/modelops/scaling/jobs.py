"""How many replicas the jobs of a model ask for.

Jobs wait in a queue that outlives everything, so nothing is kept free for those that may come: what
counts is how long the work takes that there is, and that no replica goes that has a job.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from modelops.scaling.ask import Ask
from modelops.scaling.memory import Memory
from modelops.scaling.policy import Policy
from modelops.scaling.reading import Reading

QUEUE_SECONDS: Final = 30.0
"""So much work a replica may have at least where nothing is said: callers wait as long."""


def asks(policy: Policy, memory: Memory, reading: Reading) -> Iterator[Ask]:
    """Yield what asks for replicas."""
    targets, said = policy.targets, backlog(reading)
    if reading.busy:
        yield Ask.of("busy", reading.busy, 1, f"{said}, and so many replicas work")
    if targets.concurrency is not None and reading.load is not None:
        may = f"{targets.concurrency} may be at a replica"
        yield Ask.of("concurrency", reading.load, targets.concurrency, f"{said}, {may}")
    if targets.queue_depth is not None and reading.waiting is not None:
        may = f"{targets.queue_depth} may wait for a replica"
        yield Ask.of("queueDepth", reading.waiting, targets.queue_depth, f"{said}, {may}")
    if (seconds := queue_seconds(policy, memory)) is not None and reading.work_seconds is not None:
        yield _work(reading, reading.work_seconds, seconds, said)


def _work(reading: Reading, work: float, seconds: float, said: str) -> Ask:
    """Return what the work asks for: no job can be shared, so no more replicas than jobs."""
    ask = Ask.of("queueSeconds", work, seconds, f"{said}, {seconds:.0f} s may a replica have")
    most = ask.replicas if reading.load is None else math.ceil(reading.load)
    return replace(ask, replicas=min(ask.replicas, most))


def queue_seconds(policy: Policy, memory: Memory) -> float | None:
    """Return the work that one replica may have: as told, or none where another target is.

    Without any it is what callers wait for, and no less than it takes until one more can help.
    """
    targets = policy.targets
    if targets.queue_seconds is not None:
        return targets.queue_seconds
    if targets.concurrency is not None or targets.queue_depth is not None:
        return None
    return max(QUEUE_SECONDS, memory.start.horizon(policy.cold_start_seconds))


def missing(policy: Policy, memory: Memory, reading: Reading) -> str | None:
    """Return the name of something that the policy goes by and nobody knows."""
    if reading.load is None:
        return "the number of jobs"
    work = queue_seconds(policy, memory) is not None and reading.work_seconds is None
    return "how much work the jobs are" if work else None


def backlog(reading: Reading) -> str:
    """Return what there is to do, for people: `3 jobs wait and 1 runs, 42 s of work`."""
    waiting, running = reading.waiting or 0, reading.running or 0
    if not waiting and not running:
        return "no job waits"
    work = "" if reading.work_seconds is None else f", {reading.work_seconds:.0f} s of work"
    if not waiting:
        return f"{_jobs(running, 'run')}{work}"
    runs = f" and {running:.0f} {'runs' if running == 1 else 'run'}" if running else ""
    return f"{_jobs(waiting, 'wait')}{runs}{work}"


def _jobs(count: float, verb: str) -> str:
    return f"1 job {verb}s" if count == 1 else f"{count:.0f} jobs {verb}"
