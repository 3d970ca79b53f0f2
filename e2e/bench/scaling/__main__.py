"""`python -m e2e.bench.scaling`: measure all of it, or only the parts that are named."""

import sys
from collections.abc import Callable
from typing import Final

from e2e.bench.scaling import trace, wake
from e2e.cluster.shell import step

PARTS: Final[dict[str, Callable[[], None]]] = {"trace": trace.measure, "wake": wake.measure}

named = sys.argv[1:] or list(PARTS)
for name in named:
    if name not in PARTS:
        sys.exit(f"no part {name}: name some of {', '.join(PARTS)}, or none for all of them")
    with step(f"scaling: {name}"):
        PARTS[name]()
