"""Laws of schedules."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from modelops.scaling.policy import Policy
from modelops.scaling.schedule import Schedule

OFFICE = Schedule("office", "0 8 * * MON-FRI", "0 18 * * *", 3, "Europe/Berlin")


def at(text: str) -> float:
    """Return that time in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp()


@pytest.mark.parametrize(
    ("when", "floor"),
    [
        ("2026-11-24T07:59:59", 1),
        ("2026-11-24T08:00:00", 3),
        ("2026-11-24T17:59:59", 3),
        ("2026-11-24T18:00:00", 1),
        ("2026-11-28T12:00:00", 1),
        ("2026-07-01T08:00:00", 3),
    ],
)
def test_a_schedule_holds_between_its_lines(when: str, floor: int) -> None:
    """The floor holds from a start to the next end, in the schedule's own time zone."""
    assert Policy(1, 9, schedules=(OFFICE,)).floor(at(when)) == floor


def test_the_maximum_is_above_schedules() -> None:
    """A schedule never asks for more than the maximum."""
    assert Policy(0, 2, schedules=(OFFICE,)).floor(at("2026-11-24T09:00")) == 2


@pytest.mark.parametrize(
    ("start", "zone"),
    [("0 8 * *", "UTC"), ("61 * * * *", "UTC"), ("x", "UTC"), ("0 8 * * *", "Mars/Base")],
)
def test_what_is_no_schedule_is_refused(start: str, zone: str) -> None:
    """A line that is no cron line or a zone that is none is refused, with what to write."""
    with pytest.raises(ValueError, match="write"):
        Schedule("s", start, "0 9 * * *", 1, zone)


@pytest.mark.parametrize(
    ("start", "end", "held"),
    [
        ("30 2", "0 4", {"02:30": 2.5}),  # from the first 02:30 on, all through the second
        ("30 1", "30 2", {"01:30": 1.0, "02:30": None}),
        ("15 2", "45 2", {"02:15": 0.5, "+02:15": 0.5}),
        ("0 *", "30 *", {}),
    ],
)
def test_a_schedule_that_begins_in_an_hour_that_comes_twice(
    start: str, end: str, held: dict[str, float | None]
) -> None:
    """It holds from the first time that clocks show its start."""
    night = Schedule("night", f"{start} * * *", f"{end} * * *", 2, "Europe/Berlin")
    second = at("2026-10-25T02:00:00") + 3600
    for text, hours in held.items():
        begun = at(f"2026-10-25T{text.lstrip('+')}:00") + 3600 * text.startswith("+")
        assert night.holds(begun) is (hours is not None)
        assert not night.holds(begun - 1) or hours is None
        if hours:
            assert night.holds(begun + 3600 * hours - 1)
            assert not night.holds(begun + 3600 * hours)
    if not held:
        halves = [night.holds(second - 3600 + 900 * step) for step in range(12)]
        assert halves == [True, True, False, False] * 3


@pytest.mark.parametrize("day", ["2026-03-29", "2026-10-25", "2026-11-24"])
def test_a_schedule_holds_without_a_gap_when_clocks_change(day: str) -> None:
    """From its start to its end it holds once, on days with an hour twice and with one missing."""
    night = Schedule("night", "30 1 * * *", "0 4 * * *", 2, "Europe/Berlin")
    first = int(at(f"{day}T00:00:00"))
    held = [night.holds(first + 300 * step) for step in range(12 * 6)]
    changes = [step for step in range(1, len(held)) if held[step] is not held[step - 1]]
    assert len(changes) == 2
    assert first + 300 * changes[0] == at(f"{day}T01:30:00")
    assert first + 300 * changes[1] == at(f"{day}T04:00:00")
