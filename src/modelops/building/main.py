"""The command ``modelops-build``, the whole life of a builder's container."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from modelops.builders.recipe import read_recipe
from modelops.builders.refused import Refused
from modelops.building.broken import Broken
from modelops.building.progress import Progress
from modelops.building.tool import Tool
from modelops.building.work import STAGES, Order, build
from modelops.registry.failure import Failure

AGAIN: Final = 1
"""The exit code of a failure that another run may not meet."""

NEVER: Final = 2
"""The exit code of a failure that the same recipe always ends with."""


def main() -> None:
    """Build as the command line says, and exit with 0, ``AGAIN`` or ``NEVER``."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Build as the arguments say and return the exit code."""
    options = _parser().parse_args(arguments)
    progress = Progress(sys.stdout, STAGES, options.last_words)
    tool = Tool((sys.executable, str(options.tool)))
    try:
        recipe = read_recipe(options.recipe.read_bytes())
        order = Order(recipe, options.source, options.out, options.calibration)
        progress.end(build(order, tool, progress))
    except (Refused, Failure, Broken) as failure:
        progress.end(_failed(failure, progress))
        return NEVER if not isinstance(failure, Broken) or failure.final else AGAIN
    return 0


def _failed(failure: Refused | Failure | Broken, progress: Progress) -> dict[str, Any]:
    hint = failure.hint if isinstance(failure, Broken) else failure.action
    return {
        "event": "failed",
        "reason": failure.reason,
        "message": failure.message,
        "hint": hint,
        "seconds": progress.seconds,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("modelops-build", description=__doc__, allow_abbrev=False)
    add = parser.add_argument
    add("--recipe", type=Path, required=True, help="file with the recipe, as JSON")
    add("--source", type=Path, required=True, help="folder of the model to build from")
    add("--out", type=Path, required=True, help="folder that keeps artifacts by their digest")
    add("--calibration", type=Path, help="file of a calibration dataset that is not built in")
    add("--tool", type=Path, default=Path("/opt/build/tool.py"), help="the builder's own tool")
    add(
        "--last-words",
        type=Path,
        default=Path("/dev/termination-log"),
        help="file for the last event, if it exists",
    )
    return parser


if __name__ == "__main__":
    main()
