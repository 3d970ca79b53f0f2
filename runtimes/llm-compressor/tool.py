"""llm-compressor as a builder's tool: `python3 tool.py ORDER.json`, run by `modelops-build`.

It does the stages that the order names and says on standard output how far it is, one JSON object a
line; what libraries print goes to standard error. Order and lines: `modelops.building.tool`.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Say = Callable[[Mapping[str, Any]], None]


def main() -> None:
    """Do what the order says; exits with 1 after it has said why it could not."""
    say = _own_standard_output()
    import judge  # noqa: PLC0415  slow to load, and it prints
    import quantize  # noqa: PLC0415

    from modelops.building.broken import Broken  # noqa: PLC0415

    order = json.loads(Path(sys.argv[1]).read_text())
    stages = {"make": quantize.make, "measure": judge.measure}
    try:
        for stage in order["stages"]:
            say({"stage": stage, "percent": 0})
            say({"did": stage, **stages[stage](order, say)})
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


if __name__ == "__main__":
    main()
