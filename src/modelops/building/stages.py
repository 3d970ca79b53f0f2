"""The stages of a builder's tool: `run` is the whole of its main program.

What libraries print goes to standard error; order and lines are those of `modelops.building.tool`.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from modelops.building.broken import Broken

Say = Callable[[Mapping[str, Any]], None]
Stage = Callable[[Mapping[str, Any], Say], Mapping[str, Any]]


def run(make: str, measure: str) -> None:
    """Do what the order says that the command line names; exits with 1 after telling why not.

    ``make`` and ``measure`` are modules with a function of that name, which is given the order and
    what to say progress with, and returns what to tell once it is done.
    """
    say = _own_standard_output()
    order = json.loads(Path(sys.argv[1]).read_text())
    stages = {"make": make, "measure": measure}
    try:
        for stage in order["stages"]:
            say({"stage": stage, "percent": 0})
            work: Stage = getattr(import_module(stages[stage]), stage)
            say({"did": stage, **work(order, say)})
    except Broken as broken:
        say({"failed": broken.reason, "message": broken.message, "hint": broken.hint})
        sys.exit(1)


def _own_standard_output() -> Say:
    """Keep standard output for events; whatever else is printed goes to standard error."""
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def say(event: Mapping[str, Any]) -> None:
        events.write(json.dumps(event, allow_nan=False) + "\n")
        events.flush()

    return say
