"""Durations as people write them on a command line."""

import re
from datetime import timedelta
from typing import Final

import typer

UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


def duration(text: str) -> timedelta:
    """Return what 30d, 12h or 90m stands for; raises typer.BadParameter."""
    found = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", text)
    if not found:
        message = f"{text!r} is no duration: write 30d, 12h or 90m"
        raise typer.BadParameter(message)
    return timedelta(**{UNITS[found[2]]: int(found[1])})
