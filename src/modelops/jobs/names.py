"""Where in Redis the jobs of a model are (pure); what scales on them must know it too."""

from typing import Final

GROUP: Final = "workers"
"""The consumer group of every stream of jobs."""

LANES: Final = ("high", "normal", "low")
"""The priorities, first to be served first."""

USAGE: Final = "jobs:usage"
"""The stream of bills: one entry for each job that succeeded."""

COME: Final = "jobs:come"
"""The channel that tells of which model a job was taken, at once."""


def stream(model: str, lane: str) -> str:
    """Return the stream with an entry for each job of NAMESPACE/NAME that waits or runs.

    The group's lag is how many wait, for a retry too, and what it has pending how many run; the
    stream's length tells neither.
    """
    return f"jobs:{{{model}}}:{lane}"


def dead(model: str) -> str:
    """Return the stream of jobs that were given up, with the cause."""
    return f"jobs:{{{model}}}:dead"
