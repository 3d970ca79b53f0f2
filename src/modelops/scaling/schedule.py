"""Floors that hold at certain hours."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError


@dataclass(frozen=True, slots=True)
class Schedule:
    """At least ``minimum`` replicas from each ``start`` to the next ``end``, both cron lines.

    Raises ValueError when a line or the time zone is none.
    """

    name: str
    start: str
    end: str
    minimum: int
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        if self.minimum < 0:
            raise ValueError(f"schedule {self.name}: {self.minimum} replicas: write 0 or more")
        for line in (self.start, self.end):
            _line(self.name, line)
        _zone(self.name, self.time_zone)

    def holds(self, now: float) -> bool:
        """Say whether it holds at that time, in unix seconds."""
        at = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(self.time_zone))
        begun, ended = _last(self.start, at), _last(self.end, at)
        return begun is not None and (ended is None or begun > ended)


def _last(line: str, at: datetime) -> datetime | None:
    """Return when a cron line came last, at that time included."""
    return next(CronSim(line, at + timedelta(seconds=1), reverse=True), None)


def _line(name: str, line: str) -> None:
    try:
        CronSim(line, datetime(2000, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(
            f"schedule {name}: {line!r} is no cron line: {error}; write minute, hour, day, month "
            "and day of the week, such as `0 8 * * MON-FRI`"
        ) from error


def _zone(name: str, zone: str) -> None:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(
            f"schedule {name}: no time zone {zone!r}: write one such as Europe/Berlin"
        ) from error
