"""Floors that hold at certain hours."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

CHANGE_SECONDS: Final = 10_800.0
"""Clocks are not changed by more than this."""


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
        """Say whether it holds at that time, in unix seconds.

        It begins, and ends, whenever its zone's clocks show the time: twice in an hour that comes
        twice.
        """
        zone = ZoneInfo(self.time_zone)
        begun, ended = _last(self.start, now, zone), _last(self.end, now, zone)
        return begun is not None and (ended is None or begun > ended)


def _last(line: str, now: float, zone: ZoneInfo) -> float | None:
    """Return when a cron line came last, at that time included."""
    at = datetime.fromtimestamp(now, UTC).astimezone(zone)
    near = timedelta(seconds=CHANGE_SECONDS)
    if (at - near).astimezone(UTC).astimezone(zone).utcoffset() == at.utcoffset():
        last = next(CronSim(line, at + timedelta(seconds=1), reverse=True), None)
        return None if last is None else last.timestamp()
    return _last_of_change(line, now, at.replace(tzinfo=None), zone)


def _last_of_change(line: str, now: float, wall: datetime, zone: ZoneInfo) -> float | None:
    """Return the same soon after clocks were changed, when one time can have been twice."""
    best: float | None = None
    near = timedelta(seconds=CHANGE_SECONDS)
    for shown in CronSim(line, wall + near, reverse=True):
        times = (shown.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1))
        best = max(
            (time for time in (best, *times) if time is not None and time <= now), default=None
        )
        if best is not None and shown < wall - near:
            break
    return best


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
