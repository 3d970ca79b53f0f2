"""What a model's owner asks of scaling."""

from dataclasses import dataclass, field, fields
from typing import Final

from modelops.api import scaling as wish
from modelops.scaling.schedule import Schedule

MOST_REPLICAS: Final = 10_000
DOWN_SECONDS: Final = 120.0
"""Fewer replicas only after so long, unless the model says otherwise."""


@dataclass(frozen=True, slots=True)
class Targets:
    """What one replica may have: requests that wait, requests at once, KV cache, first token.

    ``queue_seconds`` of work may wait for it, where what is asked for are jobs.
    """

    queue_depth: int | None = None
    concurrency: int | None = None
    kv_cache_percent: int | None = None
    ttft_milliseconds: int | None = None
    queue_seconds: int | None = None

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            if value is not None and value < 1:
                raise ValueError(f"target {item.name} is {value}: write 1 or more")
        if (self.kv_cache_percent or 0) > 100:
            raise ValueError(f"target kv_cache_percent is {self.kv_cache_percent}: write 1 to 100")


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast replicas may change: only after so long, and so many a minute (None: any)."""

    window_seconds: float = 0
    replicas_a_minute: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.window_seconds <= 86_400:
            raise ValueError(f"a window of {self.window_seconds} s: write 0 to 86400")
        if self.replicas_a_minute is not None and self.replicas_a_minute < 1:
            raise ValueError(f"{self.replicas_a_minute} replicas a minute: write 1 or more")


@dataclass(frozen=True, slots=True)
class Policy:
    """How one model scales.

    ``capacity`` is how many requests one replica works on at once, where that is known.
    ``cold_start_seconds`` is the time from asking for a replica to its first answer; None: it is
    learnt. Raises ValueError when no number of replicas can meet it.
    """

    minimum: int = 1
    maximum: int = 1
    targets: Targets = field(default_factory=Targets)
    idle_after_seconds: float = 300
    up: Pace = field(default_factory=Pace)
    down: Pace = field(default_factory=lambda: Pace(DOWN_SECONDS))
    schedules: tuple[Schedule, ...] = ()
    capacity: int | None = None
    cold_start_seconds: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.minimum <= self.maximum <= MOST_REPLICAS:
            raise ValueError(
                f"{self.minimum} to {self.maximum} replicas: write a minimum of 0 or more, and a "
                f"maximum that is no less and at most {MOST_REPLICAS}"
            )
        if self.idle_after_seconds < 0:
            raise ValueError(f"idle after {self.idle_after_seconds} s: write 0 or more")
        if self.capacity is not None and self.capacity < 1:
            raise ValueError(f"a capacity of {self.capacity}: write 1 or more")

    @staticmethod
    def of(scaling: wish.Scaling, capacity: int | None = None) -> "Policy":
        """Return the policy of a `spec.scaling`, for replicas that work on so many at once."""
        targets, behavior = scaling.targets, scaling.behavior
        return Policy(
            minimum=scaling.minimum,
            maximum=scaling.maximum,
            targets=Targets(
                queue_depth=targets.queue_depth,
                concurrency=targets.concurrency,
                kv_cache_percent=targets.kv_cache_percent,
                ttft_milliseconds=targets.time_to_first_token_milliseconds,
                queue_seconds=targets.queue_seconds,
            ),
            idle_after_seconds=scaling.idle_after_seconds,
            up=_pace(behavior.scale_up, 0.0),
            down=_pace(behavior.scale_down, DOWN_SECONDS),
            schedules=tuple(map(_schedule, scaling.schedules)),
            capacity=capacity,
        )

    def floor(self, now: float) -> int:
        """Return the fewest replicas at that time, schedules included, never above the maximum."""
        held = (schedule.minimum for schedule in self.schedules if schedule.holds(now))
        return min(max((self.minimum, *held)), self.maximum)


def _pace(pace: wish.Pace, seconds: float) -> Pace:
    given = pace.stabilization_window_seconds
    return Pace(seconds if given is None else given, pace.max_replicas_per_minute)


def _schedule(given: wish.Schedule) -> Schedule:
    return Schedule(given.name, given.start, given.end, given.min_replicas, given.time_zone)
