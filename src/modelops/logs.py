"""How programs log: one JSON object a line, or text for people."""

import logging
import sys
from typing import Literal

from pythonjsonlogger.json import JsonFormatter


def configure(level: str, form: Literal["json", "text"], *talkative: str) -> None:
    """Send all logs to standard error in that form; the talkative only warn unless at debug."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(form))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    if level != "debug":
        for name in talkative:
            logging.getLogger(name).setLevel(logging.WARNING)


def _formatter(form: str) -> logging.Formatter:
    if form == "text":
        return logging.Formatter("%(asctime)s %(levelname)-7s %(message)s")
    return JsonFormatter(
        "{levelname}{name}{message}",
        style="{",
        rename_fields={"levelname": "level", "name": "logger"},
        timestamp="time",
    )
